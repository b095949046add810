"""How often an API server is asked."""

from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from rota.cluster.pace import BURST, EVERY, Backoff, Pace


class Clock:
    """Time that a test moves."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@given(st.lists(st.floats(0, 100), min_size=1, max_size=200))
def test_whenever_it_is_asked_the_long_run_is_kept(pauses: list[float]) -> None:
    clock = Clock()
    pace = Pace(clock=clock)
    times = []
    for pause in pauses:
        clock.now += pause
        clock.now += pace.delay()  # whoever asks waits
        times.append(clock.now)
    for first in range(len(times) - BURST):
        assert times[first + BURST] - times[first] >= EVERY - 1e-6


def test_a_start_goes_through_at_once() -> None:
    pace = Pace(clock=Clock())
    assert [pace.delay() for _ in range(BURST)] == [0.0] * BURST
    assert pace.delay() == EVERY


def test_a_silence_earns_a_burst_and_no_more() -> None:
    clock = Clock()
    pace = Pace(clock=clock)
    for _ in range(50):
        clock.now += pace.delay()
    clock.now += 1_000_000
    assert [pace.delay() for _ in range(BURST + 1)] == [0.0] * BURST + [EVERY]


def test_failures_wait_longer_and_longer_and_never_in_step() -> None:
    backoff = Backoff(chance=random.Random(1))
    waits = [backoff.next() for _ in range(10)]
    assert 10 <= waits[0] <= 20
    assert all(120 <= wait <= 240 for wait in waits[5:])
    assert len(set(waits)) == 10
    backoff.reset()
    assert 10 <= backoff.next() <= 20


def test_what_the_server_asks_for_is_kept() -> None:
    assert Backoff().next(at_least=500) >= 500


def test_an_hour_of_failures_is_some_thirty_questions() -> None:
    backoff = Backoff(chance=random.Random(2))
    asked = waited = 0.0
    while waited < 3600:
        waited += backoff.next()
        asked += 1
    assert asked < 40
