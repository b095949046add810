"""GPU seconds: what the driver says, or else what the turns say; nothing counts twice."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rota.figures.seconds import GpuSeconds
from rota.scheduling.log import Turn
from rota.scheduling.rota import BRIEF, Rota
from rota.scheduling.terms import Rules, Share, Why

GPU = "GPU-1"
A, B = ("a", GPU), ("b", GPU)


def turn(client: str, start: float, end: float, used: float | None = None) -> Turn:
    return Turn(
        client, GPU, start, end, Why.EXPIRED, 0.0, 0.0, end - start if used is None else used
    )


def test_what_the_driver_says_counts() -> None:
    seconds = GpuSeconds()
    seconds.look(1.0, {}, {A: [7]}, {GPU: {7: 0.4, 8: 9.0}})
    seconds.look(2.0, {}, {A: [7]}, {GPU: {7: 1.1, 8: 9.9}})
    assert seconds.total(A) == 1.1


def test_what_the_driver_says_of_those_that_took_turns_is_divided_by_their_turns() -> None:
    seconds = GpuSeconds()
    pids = {A: [7], B: [8]}
    seconds.look(0.0, {A: 0.0, B: 0.0}, pids, {GPU: {7: 0.0, 8: 0.0}})
    seconds.ended([turn("a", 0.0, 0.6), turn("b", 0.6, 0.9)])
    seconds.look(1.0, {A: 0.0, B: 0.1}, pids, {GPU: {7: 0.8, 8: 0.1}})
    assert seconds.total(A) == pytest.approx(0.54)
    assert seconds.total(B) == pytest.approx(0.36)


def test_who_had_the_gpu_alone_is_told_what_the_driver_says_of_it() -> None:
    seconds = GpuSeconds()
    pids = {A: [7], B: [8]}
    seconds.ended([turn("a", 0.0, 1.0)])
    seconds.look(1.0, {A: 0.0, B: 0.0}, pids, {GPU: {7: 0.2, 8: 0.0}})
    assert (seconds.total(A), seconds.total(B)) == (0.2, 0.0)


def test_who_was_counted_by_turns_until_the_driver_told_of_it_goes_on_from_there() -> None:
    seconds = GpuSeconds()
    seconds.ended([turn("a", 0.0, 5.0)])
    seconds.look(5.0, {A: 0.0}, {A: [7]}, {GPU: {}})
    seconds.look(6.0, {A: 1.0}, {A: [7]}, {GPU: {7: 0.5}})
    seconds.look(7.0, {A: 2.0}, {A: [7]}, {GPU: {7: 1.25}})
    assert seconds.total(A) == 5.75


def test_where_the_driver_does_not_say_turns_count() -> None:
    seconds = GpuSeconds()
    seconds.ended([turn("a", 0.0, 0.5)])
    seconds.look(1.0, {A: 0.2}, {A: [7]}, {})
    assert seconds.total(A) == seconds.turns(A) == 0.7


def test_a_process_that_the_driver_does_not_list_is_counted_by_its_turns() -> None:
    seconds = GpuSeconds()
    seconds.ended([turn("a", 0.0, 0.5)])
    seconds.look(1.0, {}, {A: [7]}, {GPU: {}})
    assert seconds.total(A) == 0.5


def test_the_last_account_of_a_process_that_ended_still_counts() -> None:
    seconds = GpuSeconds()
    seconds.look(1.0, {}, {A: [7]}, {GPU: {7: 0.4}})
    seconds.look(2.0, {}, {}, {GPU: {7: 0.9}})
    assert seconds.total(A) == 0.9


def test_a_pid_that_another_process_has_later_is_not_the_clients() -> None:
    seconds = GpuSeconds()
    seconds.look(1.0, {}, {A: [7]}, {GPU: {7: 0.4}})
    for at in range(2, 9):
        seconds.look(float(at), {}, {A: []}, {GPU: {}})
    seconds.look(9.0, {}, {A: [], B: [7]}, {GPU: {7: 5.0}})
    assert (seconds.total(A), seconds.total(B)) == (0.4, 5.0)


def test_a_counter_never_goes_back() -> None:
    seconds = GpuSeconds()
    seconds.look(1.0, {}, {A: [7]}, {GPU: {7: 3.0}})
    seconds.look(2.0, {}, {A: [7]}, {GPU: {7: 1.0}})
    seconds.look(3.0, {}, {A: [7]}, {})
    assert seconds.total(A) == 3.0


def test_the_turn_of_now_counts_as_far_as_it_has_come() -> None:
    seconds = GpuSeconds()
    seconds.look(1.0, {A: 0.2}, {A: [7]}, {})
    seconds.ended([turn("a", 0.0, 0.5)])
    seconds.look(2.0, {A: 0.1}, {A: [7]}, {})
    assert seconds.turns(A) == 0.6


def test_a_turn_under_way_when_a_gatekeeper_died_has_had_what_was_seen_of_it() -> None:
    seconds = GpuSeconds()
    seconds.ended([turn("a", 0.0, 0.5)])
    seconds.look(1.0, {A: 0.25}, {A: [7]}, {})
    seconds.restart()
    seconds.ended([turn("a", 0.0, 0.5)])
    seconds.look(2.0, {A: 0.125}, {A: [7]}, {})
    assert seconds.turns(A) == 1.375


def test_the_part_of_the_last_second_is_told() -> None:
    seconds = GpuSeconds()
    for at, served in ((0.0, 0.0), (0.5, 0.5), (1.0, 0.5), (1.5, 0.75), (2.0, 1.0)):
        seconds.look(at, {}, {A: [7]}, {GPU: {7: served}})
    assert seconds.recent(A) == 0.5
    assert seconds.recent(B) == 0.0


class Told:
    """A rota of three programs and the accounts of their turns, beside a clock of whoever looks on.

    Attributes:
        busy: seconds in which a program whose gates were open worked or was drained.
    """

    def __init__(self) -> None:
        self.now = self.busy = 0.0
        self.rota = Rota(GPU, Rules(quantum=0.05, burst=0.05), 0.0)
        self.seconds = GpuSeconds()
        self.wanting, self.open, self.draining = set("abc"), {"a"}, set[str]()
        for name in "abc":
            self.rota.join(name, Share(), 0.0, hold=name == "a")
        for name in "bc":
            self.end(self.rota.closed(name, 0.0))
        for name in "abc" * (BRIEF + 1):  # so that each may be let in beside the holder
            self.work_a_moment(name)

    def work_a_moment(self, name: str) -> None:
        for each in "abc":
            self.drained(each)
            self.rest(each)
        self.want(name)
        self.decide(name)
        self.pass_time(0.001)
        self.rest(name)

    def end(self, turn: Turn | None) -> None:
        self.seconds.ended([turn] if turn else [])

    def pass_time(self, seconds: float) -> None:
        self.now += seconds
        if self.open & (self.wanting | self.draining):
            self.busy += seconds

    def want(self, name: str) -> None:
        self.wanting.add(name)
        self.rota.wants(name, self.now)

    def rest(self, name: str) -> None:
        if name not in self.draining:
            self.wanting.discard(name)
            self.end(self.rota.idle(name, self.now))

    def decide(self, _name: str) -> None:
        decision = self.rota.decide(self.now)
        if decision.into is None:
            return
        holder, stays = self.rota.holder, self.rota.may_stay(decision)
        self.rota.hand_over(decision, self.now, stays=stays)
        if holder and holder != decision.into and not stays:
            self.draining.add(holder)
        self.open.add(decision.into)
        self.end(self.rota.opened(decision.into, self.now))

    def close_strays(self, _name: str) -> None:
        for name in self.rota.strays(self.now):
            self.rota.closing(name, self.now, None)
            self.draining.add(name)
            if name not in self.wanting:  # there is nothing to drain, and no turn to count it for
                self.drained(name)

    def drained(self, name: str) -> None:
        if name in self.draining:
            self.draining.discard(name)
            self.open.discard(name)
            self.end(self.rota.closed(name, self.now))


EVENTS = (Told.want, Told.rest, Told.decide, Told.close_strays, Told.drained, Told.work_a_moment)
events = st.lists(
    st.tuples(st.floats(0, 0.1), st.sampled_from(EVENTS), st.sampled_from("abc")), max_size=80
)


@given(events)
def test_turn_seconds_of_all_add_up_to_the_time_in_which_somebody_was_in_its_turn(
    drawn: list[tuple[float, Callable[[Told, str], None], str]],
) -> None:
    told = Told()
    for passed, event, name in drawn:
        told.pass_time(passed)
        event(told, name)
    told.rota.decide(told.now)
    turns = {(member.client, GPU): member.turn for member in told.rota}
    fares = {key: turn.used if turn else 0.0 for key, turn in turns.items()}
    told.seconds.look(99.0, fares, {}, {})
    assert sum(told.seconds.turns(key) for key in fares) == pytest.approx(told.busy)
