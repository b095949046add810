"""`rota turns --follow` outlives the gatekeeper that it began with."""

from __future__ import annotations

from itertools import islice
from pathlib import Path

import pytest

from rota.cli import turns
from rota.gatekeeper import client
from rota.scheduling.log import Turn
from rota.scheduling.terms import Why


def test_each_turn_is_shown_once_though_gatekeepers_come_and_go(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """One goes, the next counts from 0; and one that only did not answer tells nothing twice."""
    made = [Turn("a", "GPU", n, n + 1.0, Why.EXPIRED, 0.0, 0.0, 1.0) for n in range(6)]
    gone = client.no_gatekeeper(Path("/run/rota"))
    story: list[client.NoGatekeeper | tuple[int, list[Turn]]]
    story = [(8, made[:2]), gone, gone, (3, made[:3]), (4, made[3:4])]
    story += [(1, []), (2, made[3:5]), (3, made[5:])]
    told = iter(story)

    def read(_: Path, since: int) -> tuple[int, list[Turn]]:
        answer = next(told)
        if isinstance(answer, Exception):
            raise answer
        return answer

    monkeypatch.setattr(turns, "LOOK", 0)
    monkeypatch.setattr(client, "read_turns", read)
    assert list(islice(turns._grown(Path("/run/rota"), 6, 0.0), 6)) == made
