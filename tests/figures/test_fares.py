"""What the gatekeeper's state says of one client on one GPU."""

from __future__ import annotations

from typing import Any

import pytest

from rota.figures import fares
from tests.figures.stand_ins import UUID, told

GIB = 2**30


@pytest.mark.parametrize(
    ("where", "said"),
    [
        ({"paused": True, "wants": True, "short": GIB}, "until `rota resume`"),
        ({"wants": True, "short": GIB}, "waits for 1.0 GiB of GPU memory"),
        ({"asked": True, "short": GIB}, "waits for 1.0 GiB of GPU memory"),
        ({"error": "its room was taken"}, "its room was taken"),
        ({"wants": False}, ""),
        ({"place": "entering", "wants": True, "short": GIB}, ""),
    ],
)
def test_why_a_client_stays_in_host_memory(where: dict[str, Any], said: str) -> None:
    paging = {"c": {"place": "out", "memory": {UUID: GIB}} | where}
    state = {"clients": {"c": told()}, "paging": paging}
    standing = fares.GateState(state).standing("c", UUID)
    assert (standing.paged, standing.stays) == (GIB, said)
