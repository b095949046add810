"""How an emulated GPU spends its time, in virtual time."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rota.emulation.timeline import SLICE, SWITCH, Done, Timeline

calm = settings(
    max_examples=100,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow],
)
KERNELS = st.lists(st.tuples(st.integers(0, 4), st.floats(0.0, 0.02)), min_size=1, max_size=20)


def drain(timeline: Timeline) -> list[Done]:
    done: list[Done] = []
    while (at := timeline.next_end()) is not None:
        done += timeline.advance(at + 1e-8)
    return done


def test_a_process_alone_runs_at_full_speed() -> None:
    timeline = Timeline(10.0)
    timeline.submit(1, 1, 0.5, 10.0)
    timeline.submit(1, 2, 0.25, 10.0)
    done = drain(timeline)
    assert [each.ticket for each in done] == [1, 2]
    assert [each.at for each in done] == pytest.approx([10.5, 10.75])


def test_processes_side_by_side_slow_each_other_down() -> None:
    timeline = Timeline(0.0)
    for owner in (1, 2):
        timeline.submit(owner, 1, 0.1, 0.0)
    ends = [done.at for done in drain(timeline)]
    assert ends[0] > 0.19
    assert ends[1] == pytest.approx(0.2 + 99 * SWITCH, abs=2 * SWITCH)


def test_slicing_costs_what_was_measured_on_real_gpus() -> None:
    timeline = Timeline(0.0)
    for owner in (1, 2):
        timeline.submit(owner, 1, 100.0, 0.0)
    timeline.advance(10.0)
    assert 0.96 < (timeline.served(1) + timeline.served(2)) / 10.0 < 0.98


def test_a_newcomer_waits_for_one_slice_not_for_the_kernel() -> None:
    timeline = Timeline(0.0)
    timeline.submit(1, 1, 60.0, 0.0)
    timeline.submit(2, 1, 0.001, 30.0)
    assert timeline.next_end() == pytest.approx(30.0 + SLICE + SWITCH + 0.001)


def test_who_leaves_takes_its_queue_along_and_the_others_speed_up() -> None:
    timeline = Timeline(0.0)
    for owner in (1, 2):
        timeline.submit(owner, 1, 1.0, 0.0)
    timeline.remove(1, 0.1)
    (done,) = drain(timeline)
    assert done.owner == 2
    assert 1.04 < done.at < 1.06


def test_utilization_is_the_busy_part_of_the_window() -> None:
    timeline = Timeline(0.0)
    timeline.submit(1, 1, 0.25, 0.0)
    timeline.advance(1.0)
    assert timeline.busy(1.0) == pytest.approx(0.25)
    timeline.advance(5.0)
    assert timeline.busy(1.0) == 0.0


@calm
@given(KERNELS)
def test_nothing_is_lost_and_each_queue_is_served_in_order(
    kernels: list[tuple[int, float]],
) -> None:
    timeline = Timeline(0.0)
    for ticket, (owner, seconds) in enumerate(kernels):
        timeline.submit(owner, ticket, seconds, 0.0)
    done = drain(timeline)
    assert sorted(each.ticket for each in done) == list(range(len(kernels)))
    for owner in range(5):
        mine = [each.ticket for each in done if each.owner == owner]
        assert mine == sorted(mine)
        asked = sum(seconds for who, seconds in kernels if who == owner)
        assert timeline.served(owner) == pytest.approx(asked, abs=1e-6)


@calm
@given(KERNELS, st.lists(st.floats(0.0, 0.01), min_size=20, max_size=20))
def test_the_next_end_is_foretold_exactly(
    kernels: list[tuple[int, float]], gaps: list[float]
) -> None:
    timeline = Timeline(0.0)
    now = 0.0
    for ticket, (owner, seconds) in enumerate(kernels):
        now += gaps[ticket]
        timeline.submit(owner, ticket, seconds, now)
    while (at := timeline.next_end()) is not None:
        assert timeline.advance(at - 1e-8) == []
        done = timeline.advance(at + 1e-8)
        assert done[0].at == pytest.approx(at, abs=2e-9)


@calm
@given(st.integers(2, 6), st.floats(0.1, 5.0))
def test_processes_that_always_have_work_get_the_same(count: int, seconds: float) -> None:
    timeline = Timeline(0.0)
    for owner in range(count):
        timeline.submit(owner, 1, 1e6, 0.0)
    timeline.advance(seconds)
    shares = [timeline.served(owner) for owner in range(count)]
    assert max(shares) - min(shares) <= SLICE + 1e-9
