"""Where a GPU's memory is: every byte is somebody's."""

from __future__ import annotations

import os

from hypothesis import given, settings
from hypothesis import strategies as st

from rota.memory.occupancy import Occupancy, measured_reserve
from rota.model import GpuMemory

RANDOM = os.environ.get("ROTA_EXAMPLES")
PROFILE = settings(
    max_examples=int(RANDOM or 60), derandomize=not RANDOM, deadline=None, database=None
)
BYTES = st.integers(0, 10**11)


@PROFILE
@given(BYTES, BYTES, st.dictionaries(st.text(max_size=3), BYTES, max_size=5), BYTES, BYTES)
def test_the_parts_add_up_to_all_of_it(
    used: int, free: int, clients: dict[str, int], unmanaged: int, ballast: int
) -> None:
    now = Occupancy.of(GpuMemory(used + free, used, free), clients, unmanaged, ballast)
    parts = sum(now.clients.values()) + now.unmanaged + now.ballast + now.system + now.free
    assert parts == now.total == used + free


def test_what_no_process_accounts_for_is_the_drivers() -> None:
    now = Occupancy.of(GpuMemory(1000, 900, 100), {"a": 300, "b": 200}, 50, 250)
    assert now.system == 100


def test_a_measured_reserve_has_room_for_the_driver_and_a_start() -> None:
    assert measured_reserve(system=600, context=518) == 1118
    assert measured_reserve(system=-20, context=518, starters=2) == 1036
