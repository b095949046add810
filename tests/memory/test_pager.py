"""A client goes out and comes back, whatever fails on the way, and is never lost by us."""

from __future__ import annotations

import pytest

from rota.memory.pager import Pager, PagingRefused, Place
from rota.memory.paging import Rooms, choose

ROOMS = Rooms({"host": 100, "pod": 60}, margin=10)
MEMORY = {"G": 30, "H": 10}


def pager(*clients: str, never: bool = False) -> Pager:
    made = Pager()
    for client in clients:
        made = made.joined(client, ("host", "pod"), 0.0, never=never).used(client, MEMORY)
    return made


def away(client: str = "a") -> Pager:
    return pager(client).leave(client, ROOMS, 10.0).left(client, 24.0)


def test_out_and_back_with_the_same_memory_on_all_of_its_gpus() -> None:
    out = away()
    assert out.seat("a").place is Place.OUT
    assert (out.resident("G"), out.copied("host")) == (0, 40)
    back = out.hold("a", MEMORY, 30.0).enter("a", 30.0).entered("a", 35.0)
    assert back.seat("a").place is Place.RESIDENT
    assert back.seat("a").memory == MEMORY
    assert (back.resident("G"), back.copied("host")) == (30, 0)


def test_it_then_stays_as_long_as_the_swap_took() -> None:
    back = away().hold("a", MEMORY, 30.0).enter("a", 30.0).entered("a", 35.0)
    assert back.seat("a").stays_until == 35.0 + 14.0 + 5.0
    with pytest.raises(PagingRefused, match=r"\(fresh\): it stays 4.0 s more"):
        back.leave("a", ROOMS, 50.0)
    assert back.leave("a", ROOMS, 54.0).seat("a").place is Place.LEAVING


def test_by_hand_it_may_go_sooner() -> None:
    back = away().hold("a", MEMORY, 30.0).enter("a", 30.0).entered("a", 35.0)
    assert back.leave("a", ROOMS, 36.0, by_hand=True).seat("a").place is Place.LEAVING


def test_on_its_way_it_counts_on_both_sides() -> None:
    leaving = pager("a").leave("a", ROOMS, 0.0)
    entering = away().hold("a", MEMORY, 30.0).enter("a", 30.0)
    for moving in (leaving, entering):
        assert (moving.resident("G"), moving.copied("host")) == (30, 40)


def test_without_room_on_the_host_it_stays() -> None:
    with pytest.raises(PagingRefused, match=r"\(host\)"):
        pager("a").leave("a", Rooms({"host": 100, "pod": 49}, margin=10), 0.0)


def test_copies_that_are_being_made_count_before_they_are_there() -> None:
    two = pager("a", "b").leave("a", Rooms({"host": 89}, margin=10), 0.0)
    with pytest.raises(PagingRefused, match=r"\(host\)"):
        two.leave("b", Rooms({"host": 89}, margin=10), 0.0)
    assert two.leave("b", Rooms({"host": 90}, margin=10), 0.0)


def test_never_is_obeyed_by_hand_too() -> None:
    with pytest.raises(PagingRefused, match=r"rota\.dev/paging: never"):
        pager("a", never=True).leave("a", ROOMS, 0.0, by_hand=True)


def test_what_the_driver_cannot_checkpoint_runs_on_and_is_remembered() -> None:
    stayed = pager("a").leave("a", ROOMS, 0.0).stayed("a", 1.0, "uses IPC memory", unfit=True)
    assert stayed.seat("a").place is Place.RESIDENT
    assert stayed.seat("a").error == "uses IPC memory"
    with pytest.raises(PagingRefused, match=r"\(unfit\)"):
        stayed.leave("a", ROOMS, 99.0)


def test_a_page_out_that_failed_may_be_tried_again() -> None:
    stayed = pager("a").leave("a", ROOMS, 0.0).stayed("a", 1.0, "busy")
    again = stayed.leave("a", ROOMS, 2.0)
    assert again.seat("a").place is Place.LEAVING
    assert again.seat("a").error == ""


def test_nothing_is_restored_before_its_room_is_held() -> None:
    with pytest.raises(PagingRefused, match="a is out, not held"):
        away().enter("a", 30.0)
    for held in ({}, {"G": 30}, {"G": 29, "H": 10}):
        with pytest.raises(PagingRefused, match="is held"):
            away().hold("a", held, 30.0)


def test_room_that_was_let_go_must_be_held_anew() -> None:
    out = away().hold("a", MEMORY, 30.0).let_go("a", 31.0)
    with pytest.raises(PagingRefused, match="not held"):
        out.enter("a", 32.0)


def test_a_restore_that_was_refused_leaves_it_out_as_before() -> None:
    out = away().hold("a", MEMORY, 30.0).enter("a", 30.0).put_back("a", 31.0, "refused")
    assert out.seat("a").place is Place.OUT
    assert out.seat("a").memory == MEMORY
    assert out.seat("a").error == "refused"


def test_a_client_that_the_driver_lost_is_shown_until_it_is_gone() -> None:
    lost = pager("a").leave("a", ROOMS, 0.0).lose("a", 5.0, "state failed")
    assert lost.seat("a").place is Place.LOST
    assert (lost.resident("G"), lost.copied("host")) == (30, 40)
    assert lost.gone("a").seats == {}


def test_only_a_step_can_lose_a_client() -> None:
    for made in (pager("a"), away()):
        with pytest.raises(PagingRefused, match="only a step"):
            made.lose("a", 1.0, "why")


def test_after_a_restart_the_driver_says_where_it_is() -> None:
    leaving = pager("a").leave("a", ROOMS, 0.0)
    for place in (Place.RESIDENT, Place.OUT, Place.LOST):
        assert leaving.found("a", place, 1.0).seat("a").place is place
    assert away().hold("a", MEMORY, 30.0).found("a", Place.OUT, 31.0).seat("a").place is Place.OUT
    with pytest.raises(PagingRefused, match="no driver says"):
        leaving.found("a", Place.HELD, 1.0)


def test_who_joins_twice_keeps_its_seat_and_who_ends_twice_is_no_error() -> None:
    out = away()
    assert out.joined("a", (), 99.0) == out
    assert out.gone("a").gone("a").seats == {}


def test_what_a_client_used_is_kept_while_nobody_can_see_it() -> None:
    assert away().used("a", {}).seat("a").memory == MEMORY


def test_an_unknown_client_is_refused() -> None:
    with pytest.raises(PagingRefused, match="z is no client here"):
        pager("a").seat("z")


def test_a_choice_is_made_among_those_who_are_resident() -> None:
    made = pager("a", "b", "c").leave("a", ROOMS, 10.0).left("a", 20.0)
    candidates = made.candidates("G", {"b": 5.0, "c": 4.0}, wants=["c"])
    choice = choose(candidates, "G", 20, made.left_of(ROOMS), 100.0, idle_after=60.0)
    assert choice.out == ("b",)
    assert {client: str(why) for client, why in choice.stays.items()} == {
        "a": "moving",
        "c": "working",
    }
