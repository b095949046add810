"""Waits: a histogram with Prometheus's buckets, percentiles of the last minute, and a total."""

from __future__ import annotations

from rota.figures.model import WAIT_BOUNDS
from rota.figures.waits import AllWaits
from rota.scheduling.log import Turn
from rota.scheduling.terms import Why

KEY = ("a", "GPU-1")


def ended(waits: AllWaits, *lengths: float, at: float = 1.0, why: Why = Why.EXPIRED) -> None:
    waits.ended(Turn("a", "GPU-1", at, at, why, waited, 0.0, 0.0) for waited in lengths)


def test_a_wait_as_long_as_a_bound_is_in_its_bucket() -> None:
    waits = AllWaits()
    ended(waits, 0.0, 0.001, 0.0011, 10.0, 11.0)
    histogram = waits[KEY].histogram
    assert histogram.counts[:2] == (2, 1)
    assert histogram.counts[-2:] == (1, 1)
    assert sum(histogram.counts) == 5
    assert len(histogram.counts) == len(WAIT_BOUNDS) + 1


def test_turns_are_counted_by_how_they_ended() -> None:
    waits = AllWaits()
    ended(waits, 0.1, 0.1)
    ended(waits, 0.1, why=Why.YIELDED)
    assert dict(waits[KEY].ends) == {"expired": 2, "yielded": 1}


def test_percentiles_are_of_the_last_minute() -> None:
    waits = AllWaits()
    ended(waits, 9.0, at=1.0)
    ended(waits, *(n / 100 for n in range(1, 101)), at=100.0)
    half, most = waits[KEY].percentiles(110.0, 0.5, 0.95)
    assert (half, most) == (0.51, 0.96)
    assert waits[KEY].percentiles(200.0, 0.5) == (None,)


def test_the_wait_of_now_counts_and_becomes_the_turns() -> None:
    waits = AllWaits()
    waits[KEY].now(0.4)
    waits[KEY].now(0.6)
    assert waits[KEY].total == 0.6
    ended(waits, 0.6)
    waits[KEY].now(0.0)
    assert waits[KEY].total == 0.6
