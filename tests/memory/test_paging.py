"""Who is paged out when somebody needs memory, and who stays, and why."""

from __future__ import annotations

import os
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rota.memory.paging import Candidate, Rooms, Stays, choose, stays_until

RANDOM = os.environ.get("ROTA_EXAMPLES")
PROFILE = settings(
    max_examples=int(RANDOM or 80), derandomize=not RANDOM, deadline=None, database=None
)
ROOMS = Rooms({"host": 1000}, margin=10)
NOW = 1000.0


def idle(name: str, size: int = 10, last_used: float = 0.0, **more: Any) -> Candidate:
    return Candidate(name, {"G": size}, last_used, more.pop("levels", ("host",)), **more)


def out(*candidates: Candidate, needed: int, rooms: Rooms = ROOMS) -> tuple[str, ...]:
    return choose(candidates, "G", needed, rooms, NOW, idle_after=60).out


def test_the_least_recently_used_goes_first() -> None:
    assert out(idle("a", last_used=30), idle("b", last_used=20), needed=5) == ("b",)


def test_the_largest_among_equals_goes_first() -> None:
    assert out(idle("a", 10), idle("b", 30), needed=5) == ("b",)


def test_as_many_go_as_are_needed_and_nobody_more() -> None:
    three = [idle("a", 10, 1), idle("b", 10, 2), idle("c", 10, 3)]
    assert out(*three, needed=15) == ("a", "b")
    assert out(*three, needed=0) == ()


def test_who_turns_out_not_to_be_needed_stays() -> None:
    assert out(idle("small", 5, 1), idle("large", 50, 2), needed=40) == ("large",)


def test_nobody_goes_in_vain() -> None:
    choice = choose([idle("a", 10)], "G", 50, ROOMS, NOW, 60)
    assert (choice.out, choice.short) == ((), 40)


@pytest.mark.parametrize(
    ("candidate", "why"),
    [
        (idle("a", never=True), Stays.NEVER),
        (idle("a", unfit=True), Stays.UNFIT),
        (idle("a", moving=True), Stays.MOVING),
        (idle("a", 0), Stays.EMPTY),
        (idle("a", wants=True), Stays.WORKING),
        (idle("a", last_used=NOW - 59), Stays.WORKING),
        (idle("a", stays_until=NOW + 1), Stays.FRESH),
        (idle("a", 995), Stays.HOST),
    ],
    ids=lambda value: str(value) if isinstance(value, Stays) else "",
)
def test_who_stays_is_told_with_its_reason(candidate: Candidate, why: Stays) -> None:
    choice = choose([candidate], "G", 5, ROOMS, NOW, 60)
    assert choice.out == ()
    assert choice.stays == {"a": why}


def test_the_copy_must_fit_the_host_and_every_cgroup_above() -> None:
    levels = ("host", "kubepods", "pod")
    for tight in levels:
        rooms = Rooms({level: 19 if level == tight else 20 for level in levels}, margin=10)
        assert out(idle("a", 10, levels=levels), needed=5, rooms=rooms) == ()
    assert out(
        idle("a", 10, levels=levels), needed=5, rooms=Rooms(dict.fromkeys(levels, 20), 10)
    ) == ("a",)


def test_copies_that_share_a_level_share_its_room() -> None:
    two = [idle("a", 10, 1), idle("b", 10, 2)]
    assert out(*two, needed=20, rooms=Rooms({"host": 29}, margin=10)) == ()
    assert out(*two, needed=20, rooms=Rooms({"host": 30}, margin=10)) == ("a", "b")


def test_a_client_with_memory_on_two_gpus_is_copied_whole() -> None:
    both = Candidate("a", {"G": 10, "H": 500}, 0.0, ("host",))
    assert out(both, needed=5, rooms=Rooms({"host": 519}, margin=10)) == ()
    assert out(both, needed=5, rooms=Rooms({"host": 520}, margin=10)) == ("a",)


def test_who_came_back_stays_as_long_as_the_swap_took() -> None:
    assert stays_until(100.0, seconds_out=14.0, seconds_in=4.7) == pytest.approx(118.7)


CANDIDATES = st.lists(
    st.builds(
        Candidate,
        st.text("abcdef", min_size=1, max_size=3),
        st.fixed_dictionaries({"G": st.integers(0, 99)}, optional={"H": st.integers(0, 99)}),
        st.floats(0, NOW),
        st.sampled_from([("host",), ("host", "pod")]),
        wants=st.booleans(),
        stays_until=st.floats(0, 2 * NOW),
        never=st.booleans(),
        unfit=st.booleans(),
    ),
    max_size=6,
    unique_by=lambda one: one.client,
)


@PROFILE
@given(CANDIDATES, st.integers(0, 200), st.integers(0, 300), st.integers(0, 300))
def test_a_choice_is_enough_and_minimal_and_fits_and_obeys(
    candidates: list[Candidate], needed: int, host: int, pod: int
) -> None:
    rooms = Rooms({"host": host, "pod": pod}, margin=7)
    choice = choose(candidates, "G", needed, rooms, NOW, 60)
    chosen = [one for one in candidates if one.client in choice.out]
    sizes = [one.memory["G"] for one in chosen]
    assert sum(sizes) >= needed or not chosen
    assert all(sum(sizes) - size < needed for size in sizes)
    assert not any(one.never or one.unfit or one.wants for one in chosen)
    assert all(one.stays_until <= NOW and one.last_used <= NOW - 60 for one in chosen)
    for level, free in rooms.free.items():
        copies = sum(one.size for one in chosen if level in one.levels)
        assert not copies or copies + rooms.margin <= free
