"""Each sentence about the order of turns on one GPU, with a clock that the test moves."""

from __future__ import annotations

import pytest

from rota.scheduling.rota import BRIEF, KEEP, Decision, Rota
from rota.scheduling.terms import Priority, Rules, Share, Why

RULES = Rules(quantum=0.1, minimum=0.005)


class Clock:
    """A rota, and hands that do at once what it decides."""

    def __init__(self) -> None:
        self.now = 100.0
        self.rota = Rota("GPU-0", RULES, self.now)

    def join(self, *clients: str, **shares: Share) -> None:
        for client in clients:
            shares.setdefault(client, Share())
        for client, share in shares.items():
            self.rota.join(client, share, self.now, hold=self.rota.holder is None)
        for client in self.rota.strays(self.now):
            self.rota.closing(client, self.now, None)
            self.rota.closed(client, self.now)

    def sleepers(self, *clients: str, **shares: Share) -> None:
        self.join(*clients, **shares)
        for client in (*clients, *shares):
            self.rota.idle(client, self.now)

    def step(self, drain: float = 0.0) -> Decision:
        decision = self.rota.decide(self.now)
        if decision.into:
            holder = self.rota.holder
            self.rota.hand_over(decision, self.now)
            self.now += drain
            if holder:
                self.rota.closed(holder, self.now, drain)
            self.rota.opened(decision.into, self.now)
        return decision

    def until_decision(self, limit: float = 10.0) -> tuple[float, Decision]:
        start = self.now
        while self.now < start + limit:
            self.now += 0.001
            if (decision := self.step()).into:
                return round(self.now - start, 3), decision
        raise AssertionError("nothing was decided")


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_a_lone_client_keeps_the_gpu_for_as_long_as_nobody_else_wants_it(clock: Clock) -> None:
    clock.join("a")
    clock.sleepers("b")
    for _ in range(100):
        clock.now += 1.0
        assert clock.step() is KEEP
    assert clock.rota.holder == "a"


def test_an_idle_lone_holder_keeps_its_gate_open(clock: Clock) -> None:
    clock.join("a")
    clock.sleepers("b")
    clock.rota.idle("a", clock.now)
    clock.now += 5
    assert clock.step() is KEEP
    assert clock.rota.holder == "a"


def test_two_that_want_it_take_turns_of_one_quantum(clock: Clock) -> None:
    clock.join("a", "b")
    turns = [clock.until_decision() for _ in range(6)]
    assert [decision.into for _, decision in turns] == ["b", "a", "b", "a", "b", "a"]
    assert [length for length, _ in turns] == [0.1] * 6
    assert {decision.why for _, decision in turns} == {Why.EXPIRED}


def test_turns_are_as_long_as_shares_are_large(clock: Clock) -> None:
    clock.join(heavy=Share(weight=3.0), light=Share())
    lengths = {"heavy": 0.0, "light": 0.0}
    for _ in range(60):
        holder = clock.rota.holder
        assert holder
        length, _ = clock.until_decision()
        lengths[holder] += length
        assert length <= 0.101
    assert lengths["heavy"] / sum(lengths.values()) == pytest.approx(0.75, abs=0.01)


def test_replicas_count_like_weight(clock: Clock) -> None:
    assert Share(replicas=3).size == Share(weight=3.0).size == 3.0


def test_who_yields_is_followed_at_once(clock: Clock) -> None:
    clock.join("a", "b")
    clock.now += 0.001
    clock.rota.idle("a", clock.now)
    assert clock.step() == Decision("b", Why.YIELDED)


def test_a_light_client_that_wakes_preempts_after_the_minimum(clock: Clock) -> None:
    clock.join("heavy", "other")
    clock.sleepers("light")
    clock.until_decision()
    clock.until_decision()
    clock.rota.wants("light", clock.now)
    length, decision = clock.until_decision()
    assert (length, decision) == (0.005, Decision("light", Why.PREEMPTED))


def test_an_interactive_client_that_wakes_preempts_at_once(clock: Clock) -> None:
    clock.join("heavy")
    clock.sleepers(cell=Share(priority=Priority.INTERACTIVE))
    clock.now += 0.001
    clock.rota.wants("cell", clock.now)
    assert clock.step() == Decision("cell", Why.PREEMPTED)


def test_an_interactive_client_that_is_ahead_of_its_share_waits_like_everybody(
    clock: Clock,
) -> None:
    clock.join("heavy")
    clock.sleepers(cell=Share(priority=Priority.INTERACTIVE))
    clock.rota.wants("cell", clock.now)
    clock.step()
    clock.now += 0.09
    clock.rota.idle("cell", clock.now)
    clock.step()
    clock.rota.wants("cell", clock.now)
    length, decision = clock.until_decision()
    assert decision.into == "cell"
    assert length > 0.08


def test_who_was_cut_short_does_not_preempt(clock: Clock) -> None:
    clock.join("a", "b", "c")
    lengths = [clock.until_decision()[0] for _ in range(9)]
    assert lengths == [0.1] * 9


def test_batch_gets_what_others_leave_and_a_little_more(clock: Clock) -> None:
    clock.join(night=Share(priority=Priority.BATCH), day=Share())
    lengths = {"night": 0.0, "day": 0.0}
    for _ in range(400):
        holder = clock.rota.holder
        assert holder
        lengths[holder] += clock.until_decision()[0]
    assert 0.02 < lengths["night"] / sum(lengths.values()) < 0.04
    while clock.rota.holder != "day":
        clock.until_decision()
    clock.rota.idle("day", clock.now)
    assert clock.step() == Decision("night", Why.YIELDED)
    clock.now += 60
    assert clock.step() is KEEP


def test_a_standard_client_takes_the_gpu_from_a_batch_client_when_it_wakes(clock: Clock) -> None:
    clock.join(night=Share(priority=Priority.BATCH))
    clock.sleepers("day")
    clock.now += 0.02
    clock.rota.wants("day", clock.now)
    assert clock.step().into == "day"


def test_an_idle_spell_earns_no_more_than_the_lag_bound(clock: Clock) -> None:
    clock.join("busy")
    clock.sleepers("sleeper")
    clock.now += 3600
    clock.step()
    clock.rota.wants("sleeper", clock.now)
    clock.step()
    had = 0.0
    while clock.rota.holder == "sleeper":
        had += clock.until_decision()[0]
    assert had <= RULES.lag + RULES.grain + RULES.quantum + 0.002


def test_a_drain_is_charged_to_the_client_that_is_drained(clock: Clock) -> None:
    clock.join("long", "short")
    had = {"long": 0.0, "short": 0.0}
    for _ in range(4000):
        clock.now += 0.005
        holder = clock.rota.holder
        assert holder
        before = clock.now
        clock.step(drain=0.15 if holder == "long" else 0.001)
        had[holder] += 0.005 + clock.now - before
    assert had["long"] / sum(had.values()) == pytest.approx(0.5, abs=0.01)


def test_in_an_overlapped_handover_each_is_charged_for_half_of_the_time_of_both(
    clock: Clock,
) -> None:
    clock.join("a", "b")
    clock.now += 0.1
    clock.rota.hand_over(clock.rota.decide(clock.now), clock.now)
    clock.rota.opened("b", clock.now)
    clock.now += 0.03
    assert clock.rota.strays(clock.now) == []
    turn = clock.rota.closed("a", clock.now, 0.03)
    assert turn
    assert (turn.used, turn.closing) == pytest.approx((0.115, 0.03))
    clock.now += 0.04
    left = clock.rota.leave("b", clock.now)
    assert left
    assert left.used == pytest.approx(0.055)


def test_an_idle_tail_is_not_charged(clock: Clock) -> None:
    clock.join("a", "b")
    clock.rota.idle("b", clock.now)
    clock.now += 0.05
    clock.rota.idle("a", clock.now)
    clock.now += 10
    clock.rota.wants("b", clock.now)
    decision = clock.rota.decide(clock.now)
    clock.rota.hand_over(decision, clock.now)
    clock.now += 0.002
    turn = clock.rota.closed("a", clock.now, 0.002)
    assert turn
    assert turn.why is Why.YIELDED
    assert turn.used == pytest.approx(0.052)
    assert turn.end - turn.start == pytest.approx(10.052)


def test_the_turn_says_how_long_its_client_waited(clock: Clock) -> None:
    clock.join("a", "b")
    clock.until_decision()
    turn = clock.rota.leave("b", clock.now)
    assert turn
    assert turn.waited == pytest.approx(0.1)
    assert turn.why is Why.EXITED


def test_a_gate_that_would_not_close_is_left_alone_for_a_while(clock: Clock) -> None:
    clock.join("stuck", "b")
    clock.now += 0.1
    clock.rota.hand_over(clock.rota.decide(clock.now), clock.now)
    clock.now += 0.3
    clock.rota.refused("stuck", clock.now)
    clock.rota.abandon("b")
    assert clock.rota.holder == "stuck"
    length, decision = clock.until_decision()
    assert (length, decision.into) == (RULES.patience, "b")
    length, decision = clock.until_decision()
    assert decision.into == "stuck"
    assert length > 0.7, "its time over is charged: the other one gets it back"


def test_weights_change_live(clock: Clock) -> None:
    clock.join("a", "b")
    clock.until_decision()
    clock.rota.set_share("a", Share(weight=4.0), clock.now)
    had = {"a": 0.0, "b": 0.0}
    for _ in range(60):
        holder = clock.rota.holder
        assert holder
        had[holder] += clock.until_decision()[0]
    assert had["a"] / sum(had.values()) == pytest.approx(0.8, abs=0.02)


def test_the_quantum_changes_live(clock: Clock) -> None:
    clock.join("a", "b")
    clock.rota.rules = Rules(quantum=0.02)
    assert clock.until_decision()[0] == 0.02


def test_a_starting_process_takes_the_turn_and_keeps_it_until_its_context_exists(
    clock: Clock,
) -> None:
    clock.join("a", "b")
    clock.sleepers("new")
    clock.rota.starting("new", clock.now)
    assert clock.step() == Decision("new", Why.PREEMPTED)
    clock.now += 0.4
    assert clock.step() is KEEP
    clock.rota.idle("new", clock.now)
    assert clock.step() is KEEP
    clock.rota.started("new")
    clock.now += 0.001
    assert clock.step().why is Why.EXPIRED


def test_a_starting_process_holds_the_turn_for_a_second_at_most_and_one_at_a_time(
    clock: Clock,
) -> None:
    clock.join("a")
    clock.sleepers("new", "newer")
    clock.rota.starting("new", clock.now)
    clock.rota.starting("newer", clock.now)
    assert clock.step().into == "new"
    length, decision = clock.until_decision()
    assert (length, decision.into) == (RULES.start_limit, "newer")


def test_a_holder_that_leaves_in_the_middle_of_a_handover_harms_nobody(clock: Clock) -> None:
    clock.join("a", "b")
    clock.now += 0.1
    clock.rota.hand_over(clock.rota.decide(clock.now), clock.now)
    assert clock.rota.leave("b", clock.now) is None
    turn = clock.rota.closed("a", clock.now)
    assert turn
    assert clock.rota.decide(clock.now) == Decision("a")


def test_with_the_last_other_client_gone_the_one_left_is_never_gated(clock: Clock) -> None:
    clock.join("a")
    clock.sleepers("b")
    clock.rota.leave("a", clock.now)
    assert clock.step() == Decision("b")


def be_brief(clock: Clock, client: str, times: int = BRIEF) -> None:
    """The client wakes beside the holder, so many times, for a millisecond each."""
    for _ in range(times):
        holder = clock.rota.holder
        clock.now += 0.2
        clock.rota.wants(client, clock.now)
        while clock.rota.holder != client:
            clock.now += 0.001
            clock.step()
        clock.now += 0.001
        clock.rota.idle(client, clock.now)
        decision = clock.rota.decide(clock.now)
        assert decision == Decision(holder, Why.YIELDED)
        if not clock.rota.may_stay(decision):
            clock.step()


def let_stay(clock: Clock) -> None:
    decision = clock.rota.decide(clock.now)
    clock.rota.hand_over(decision, clock.now, stays=clock.rota.may_stay(decision))
    assert decision.into
    clock.rota.opened(decision.into, clock.now)


@pytest.fixture
def guest(clock: Clock) -> Clock:
    """`b` works for moments beside `a`, and was let in."""
    clock.join("a")
    clock.sleepers("b")
    be_brief(clock, "b", BRIEF + 1)
    let_stay(clock)
    assert clock.rota.holder == "a"
    assert clock.rota.is_guest("b")
    return clock


def test_one_that_works_for_moments_is_left_with_its_gates_open(guest: Clock) -> None:
    assert guest.rota.strays(guest.now) == []
    assert guest.step() is KEEP


def test_a_guest_is_charged_for_what_it_does_and_its_turn_is_told(guest: Clock) -> None:
    before = {member.client: member.virtual for member in guest.rota}
    guest.rota.wants("b", guest.now)
    guest.now += 0.004
    assert guest.rota.strays(guest.now) == []
    assert guest.step() is KEEP
    turn = guest.rota.idle("b", guest.now)
    assert turn is not None
    assert (turn.client, turn.why) == ("b", Why.YIELDED)
    assert turn.used == pytest.approx(0.002)
    after = {member.client: member.virtual for member in guest.rota}
    assert after["b"] - before["b"] >= 0.002 - 1e-9
    assert guest.rota.holder == "a"


def test_a_guest_that_works_longer_than_a_burst_is_closed_and_waits_like_others(
    guest: Clock,
) -> None:
    guest.rota.wants("b", guest.now)
    until = guest.rota.stands_until(guest.now)
    assert until == pytest.approx(guest.now + RULES.burst)
    guest.now = until + 0.001
    assert guest.rota.strays(guest.now) == ["b"]
    guest.rota.closing("b", guest.now, None)
    guest.now += 0.002
    assert guest.step() is KEEP
    guest.rota.closed("b", guest.now, 0.002)
    assert not guest.rota.is_guest("b")
    passed, decision = guest.until_decision()
    assert decision == Decision("b", Why.PREEMPTED)
    assert passed < RULES.quantum


def test_a_guest_that_works_while_the_holder_does_not_becomes_the_holder(guest: Clock) -> None:
    guest.rota.idle("a", guest.now)
    assert guest.step() is KEEP
    guest.rota.wants("b", guest.now)
    guest.now += 0.001
    assert guest.rota.decide(guest.now) == Decision("b", Why.YIELDED)
    let_stay_or_close = guest.rota.decide(guest.now)
    guest.rota.hand_over(let_stay_or_close, guest.now)
    guest.rota.closed("a", guest.now)
    assert guest.rota.opened("b", guest.now) is None
    assert guest.rota.holder == "b"
    assert not guest.rota.is_guest("b")
    guest.now += 1.0
    assert guest.step() is KEEP


def test_a_guest_that_takes_more_than_its_share_in_moments_is_closed(guest: Clock) -> None:
    guest.rota.set_share("b", Share(weight=0.25), guest.now)
    for _ in range(100):
        guest.rota.wants("b", guest.now)
        guest.now += 0.007
        if guest.rota.strays(guest.now):
            break
        guest.rota.idle("b", guest.now)
        guest.now += 0.001
    assert guest.rota.strays(guest.now) == ["b"]
    virtual = {member.client: member.virtual for member in guest.rota}
    assert virtual["b"] - virtual["a"] <= (RULES.grain + RULES.burst) / 0.25


def test_without_bursts_nobody_works_beside_the_holder(guest: Clock) -> None:
    guest.rota.rules = Rules(quantum=0.1, minimum=0.005, burst=0.0)
    assert guest.rota.strays(guest.now) == ["b"]


def test_one_that_had_a_long_turn_since_is_no_guest(clock: Clock) -> None:
    clock.join("a")
    clock.sleepers("b")
    be_brief(clock, "b")
    clock.now += 0.2
    clock.rota.wants("b", clock.now)
    clock.until_decision()
    clock.now += 0.05
    clock.rota.idle("b", clock.now)
    clock.step()
    be_brief(clock, "b", 1)
    clock.now += 0.2
    clock.rota.wants("b", clock.now)
    clock.until_decision()
    clock.now += 0.001
    clock.rota.idle("b", clock.now)
    decision = clock.rota.decide(clock.now)
    assert decision.why is Why.YIELDED
    assert not clock.rota.may_stay(decision)
