"""The turn log and what is computed from it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rota.scheduling.log import Turn, TurnLog, jain, shares, used
from rota.scheduling.terms import Why


def turn(client: str, seconds: float) -> Turn:
    return Turn(client, "GPU-0", 0.0, seconds, Why.EXPIRED, 0.0, 0.0, seconds)


def test_the_log_keeps_the_last_turns_and_numbers_all() -> None:
    log = TurnLog(size=3)
    log.add(*(turn(str(n), 1.0) for n in range(5)))
    assert log.next == 5
    first, kept = log.since(0)
    assert first == 2
    assert [t.client for t in kept] == ["2", "3", "4"]


def test_following_the_log_reads_each_turn_once() -> None:
    log = TurnLog()
    seen = 0
    for n in range(4):
        log.add(turn(str(n), 1.0))
        first, new = log.since(seen)
        assert (first, [t.client for t in new]) == (n, [str(n)])
        seen = first + len(new)
    assert log.since(seen) == (4, ())
    assert log.since(99) == (4, ())


def test_shares_are_parts_of_the_gpu_seconds_had() -> None:
    turns = [turn("a", 3.0), turn("b", 1.0)]
    assert used(turns) == {"a": 3.0, "b": 1.0}
    assert shares(turns) == {"a": 0.75, "b": 0.25}
    assert shares([]) == {}
    assert shares([turn("a", 0.0)]) == {"a": 0.0}


@given(st.lists(st.floats(0.001, 1e6), min_size=1, max_size=20))
def test_jain_is_between_one_nth_and_one(values: list[float]) -> None:
    assert 1 / len(values) - 1e-9 <= jain(values) <= 1 + 1e-9


def test_jain_of_equals_is_one_and_of_nothing_too() -> None:
    assert jain([2.0, 2.0, 2.0]) == pytest.approx(1.0)
    assert jain([1.0, 0.0]) == pytest.approx(0.5)
    assert jain([]) == 1.0
    assert jain([0.0, 0.0]) == 1.0
