"""What must be held before a gate opens, and in which order a handover goes."""

from __future__ import annotations

import os

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rota.errors import RotaError
from rota.memory.ballast import (
    MIB,
    Act,
    Change,
    Grain,
    Held,
    Plan,
    Standing,
    Step,
    change,
    handover,
    plan,
    spare,
)

RANDOM = os.environ.get("ROTA_EXAMPLES")
PROFILE = settings(
    max_examples=int(RANDOM or 60), derandomize=not RANDOM, deadline=None, database=None
)
SMALL = Grain(chunk=16, granule=2)
BYTE = Grain(chunk=16, granule=1)


def client(name: str, use: int = 0, limit: int | None = 100, **more: int | bool) -> Standing:
    guaranteed = more.pop("guaranteed", limit or 0)
    return Standing(name, use, limit, int(guaranteed), **more)  # type: ignore[arg-type]


@st.composite
def standings(draw: st.DrawFn) -> list[Standing]:
    """Some clients of a GPU: within and over their limits, unlimited, starting, restoring."""
    found = []
    for number in range(draw(st.integers(1, 5))):
        limit = draw(st.one_of(st.none(), st.integers(0, 200)))
        found.append(
            Standing(
                f"c{number}",
                use=draw(st.integers(0, 200)),
                limit=limit,
                guaranteed=draw(st.integers(0, limit)) if limit else 0,
                can_allocate=draw(st.booleans()),
                context=draw(st.sampled_from([0, 0, 0, 13])),
                restoring=draw(st.sampled_from([0, 0, 0, 0, 40])),
            )
        )
    return found


GRAINS = st.sampled_from([SMALL, BYTE, Grain(64, 8)])
FREE = st.integers(0, 600)


def can_be_had(made: Plan, grain: Grain) -> int:
    """What the GPU can still hand out: it does so in granules."""
    return made.left // grain.granule * grain.granule


def test_the_ballast_leaves_who_has_the_turn_its_headroom() -> None:
    turn = client("a", use=30, can_allocate=True)
    made = plan([turn, client("b", use=10)], free=200, held=60, grain=SMALL)
    assert made == Plan(ballast=190, left=70)


def test_at_its_limit_it_gets_nothing_and_beyond_it_neither() -> None:
    for use in (100, 130):
        made = plan([client("a", use=use, can_allocate=True)], free=200, held=0, grain=SMALL)
        assert made == Plan(ballast=200, left=0)


def test_a_client_alone_is_held_to_its_limit_too() -> None:
    made = plan([client("a", use=30, can_allocate=True)], free=300, held=0, grain=SMALL)
    assert made.left == 70


def test_nobody_limited_means_no_ballast_at_all() -> None:
    free = [client("a", limit=None, can_allocate=True), client("b", limit=None, context=50)]
    assert plan(free, free=200, held=60, grain=SMALL) == Plan(ballast=0, left=260)
    assert plan([], free=200, held=60, grain=SMALL) == Plan(ballast=0, left=260)


def test_an_unlimited_client_leaves_the_limited_their_shares() -> None:
    made = plan(
        [client("a", limit=None, can_allocate=True), client("b", use=20)], 200, 0, grain=SMALL
    )
    assert made == Plan(ballast=80, left=120)


def test_unmanaged_use_is_borne_by_who_asks_next_and_not_by_who_has_unspent_memory() -> None:
    turn = client("a", use=30, can_allocate=True)
    made = plan([turn, client("b", use=10)], free=100, held=0, grain=SMALL)
    assert made == Plan(ballast=90, left=10)


def test_what_was_promised_and_is_not_there_is_said() -> None:
    made = plan([client("a", can_allocate=True), client("b", use=10)], 60, 0, grain=SMALL)
    assert (made.left, made.short) == (0, 30)


def test_room_to_start_is_in_the_ballast_while_another_has_the_turn() -> None:
    starter = client("b", context=26, guaranteed=0)
    made = plan([client("a", can_allocate=True), starter], free=110, held=0, grain=SMALL)
    assert made == Plan(ballast=26, left=84)


def test_who_starts_with_nobody_beside_it_may_go_on_with_all_that_it_is_due() -> None:
    starter = client("b", context=25, can_allocate=True)
    made = plan([client("a", use=50), starter], free=100, held=60, grain=SMALL)
    assert made == Plan(ballast=60, left=100)


def test_several_who_start_find_what_all_of_them_are_due_and_nothing_of_others() -> None:
    both = [client(name, context=25, can_allocate=True) for name in "bc"]
    made = plan([client("a", use=40), *both], free=230, held=60, grain=SMALL)
    assert made == Plan(ballast=90, left=200)


def test_two_starts_at_once_have_room_for_both() -> None:
    both = [client(name, context=25, can_allocate=True) for name in "bc"]
    made = plan([client("a", use=50), *both], free=200, held=50, grain=SMALL)
    assert can_be_had(made, SMALL) >= 50
    assert made.short == 0


def test_a_start_never_gets_more_than_its_limit() -> None:
    small = client("b", use=90, context=25, can_allocate=True)
    made = plan([client("a"), small], free=200, held=50, grain=SMALL)
    assert made.left == 10


def test_while_all_gates_are_closed_a_start_finds_its_room_free() -> None:
    made = plan([client("a", use=50), client("b", context=25)], free=60, held=90, grain=SMALL)
    assert made.left == 100
    assert made.ballast == 50


def test_a_restore_has_its_room_and_nobody_elses() -> None:
    back = client("b", restoring=41, can_allocate=True)
    made = plan([client("a", use=50), back], free=20, held=130, grain=SMALL)
    assert made.restorable
    assert 41 <= made.left <= 42


def test_a_restore_without_room_is_told_not_to_begin() -> None:
    back = client("b", restoring=90, can_allocate=True)
    made = plan([client("a", use=50), back], free=20, held=80, grain=SMALL)
    assert not made.restorable
    assert made.short == 40


def test_a_restore_beside_an_open_gate_is_told_not_to_begin() -> None:
    back = client("b", restoring=41, can_allocate=True)
    made = plan([client("a", use=90, can_allocate=True), back], free=200, held=0, grain=SMALL)
    assert made.left == 10
    assert not made.restorable


def test_when_another_process_ends_what_is_to_be_taken_does_not_hang_on_the_open_client() -> None:
    growth = set()
    for taken in (0, 10, 70):
        turn = client("a", use=30 + taken, can_allocate=True)
        made = plan([turn, client("b", use=0)], free=170 - taken, held=100, grain=SMALL)
        growth.add(made.ballast - 100)
    assert growth == {100}


def test_what_is_spare_is_nobodys_unspent_share() -> None:
    assert spare([client("a", use=30), client("b", use=120)], free=50, held=100) == 80
    assert spare([client("a")], free=50, held=0) == 0


@PROFILE
@given(standings(), FREE, st.integers(0, 300), GRAINS)
def test_ballast_is_never_below_zero_nor_above_what_is_free(
    clients: list[Standing], free: int, held: int, grain: Grain
) -> None:
    held = held // grain.granule * grain.granule
    made = plan(clients, free, held, grain)
    assert 0 <= made.ballast <= free + held
    assert made.left == free + held - made.ballast
    assert made.ballast % grain.granule == 0


@PROFILE
@given(standings(), FREE, st.integers(0, 300), GRAINS)
def test_whoever_can_allocate_never_gets_beyond_its_limit(
    clients: list[Standing], free: int, held: int, grain: Grain
) -> None:
    """While somebody starts, all together get no more than what is theirs who start."""
    made = plan(clients, free, held // grain.granule * grain.granule, grain)
    opened = [one for one in clients if one.can_allocate and not one.restoring]
    starters = [one for one in opened if one.context]
    rooms = [one.headroom for one in starters or opened if one.headroom is not None]
    if starters and len(rooms) == len(starters):
        assert can_be_had(made, grain) <= sum(rooms)
    elif rooms:
        assert can_be_had(made, grain) <= min(rooms)


def test_who_starts_beside_one_that_is_not_closed_yet_finds_its_own_and_no_more() -> None:
    still_open = client("a", use=30, can_allocate=True)
    starter = client("b", use=0, can_allocate=True, context=5)
    made = plan([still_open, starter], free=300, held=0, grain=SMALL)
    assert starter.headroom is not None
    assert made.left <= starter.headroom


@PROFILE
@given(standings(), FREE, st.integers(0, 300), GRAINS)
def test_nobodys_unspent_share_can_be_taken_by_another(
    clients: list[Standing], free: int, held: int, grain: Grain
) -> None:
    held = held // grain.granule * grain.granule
    made = plan(clients, free, held, grain)
    opened = [one for one in clients if one.can_allocate]
    limited = any(one.limit is not None for one in clients)
    if limited and opened and not any(one.restoring for one in opened):
        kept = sum(one.ward for one in clients if not one.can_allocate)
        assert free + held - can_be_had(made, grain) >= min(kept, free + held)


@PROFILE
@given(st.integers(0, 400), st.integers(0, 400), GRAINS)
def test_a_change_leads_from_the_pieces_in_hand_to_the_size(
    now: int, goal: int, grain: Grain
) -> None:
    now, goal = (size // grain.granule * grain.granule for size in (now, goal))
    held = Held.for_size(now, grain)
    made = change(held, goal, grain)
    assert held.size(grain) == now
    assert now - sum(made.release) + sum(made.take) == goal
    assert all(0 < piece <= grain.chunk for piece in made.release + made.take)
    assert not (grain.chunk in made.release and grain.chunk in made.take)


def test_no_change_is_no_step() -> None:
    assert change(Held(3, 4), 52, SMALL) == Change()


def test_pieces_of_256_mib_are_let_go_one_by_one_and_the_rest_is_exact() -> None:
    assert change(Held(4, 0), 514 * MIB, Grain()) == Change(
        release=(256 * MIB, 256 * MIB), take=(2 * MIB,)
    )


def test_a_hard_handover_closes_weighs_and_opens() -> None:
    assert handover(["a"], "b", hard=True) == (
        Step(Act.CLOSE, "a"),
        Step(Act.MEASURE),
        Step(Act.BALLAST),
        Step(Act.OPEN, "b"),
    )


def test_without_hard_limits_a_handover_may_overlap() -> None:
    assert handover(["a"], "b", hard=False, overlapped=True) == (
        Step(Act.OPEN, "b"),
        Step(Act.CLOSE, "a"),
    )
    assert handover(["a"], "b", hard=False) == (Step(Act.CLOSE, "a"), Step(Act.OPEN, "b"))


def test_overlapping_under_hard_limits_is_refused() -> None:
    with pytest.raises(RotaError, match="cannot overlap") as refused:
        handover(["a"], "b", hard=True, overlapped=True)
    assert "report" in refused.value.hint


def test_closing_all_opens_nobody() -> None:
    assert [step.act for step in handover(["a", "b"], None, hard=True)] == [
        Act.CLOSE,
        Act.CLOSE,
        Act.MEASURE,
        Act.BALLAST,
    ]
