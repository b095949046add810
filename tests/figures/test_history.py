"""Turns go on being numbered, have the time of day, and are told page by page."""

from __future__ import annotations

from rota.figures.history import TurnHistory
from rota.scheduling.log import Turn
from rota.scheduling.terms import Why


def turns(first: int, count: int) -> list[Turn]:
    return [
        Turn("a", "GPU-1", float(n), n + 0.5, Why.YIELDED, 0.1, 0.002, 0.4)
        for n in range(first, first + count)
    ]


def test_the_time_is_the_time_of_day() -> None:
    history = TurnHistory()
    history.add(turns(3, 1), offset=1000.0)
    (told,) = history.page().turns
    assert (told.number, told.start, told.end, told.why) == (0, 1003.0, 1003.5, "yielded")


def test_numbers_go_on_and_pages_follow_one_another() -> None:
    history = TurnHistory()
    history.add(turns(0, 7), 0.0)
    history.add(turns(0, 5), 100.0)  # of another gatekeeper
    first = history.page(0, limit=8)
    second = history.page(first.next, limit=8)
    assert [each.number for each in (*first.turns, *second.turns)] == list(range(12))
    assert history.page(second.next).turns == ()


def test_who_asks_for_turns_that_are_gone_is_told_the_first_there_is() -> None:
    history = TurnHistory(size=4)
    history.add(turns(0, 10), 0.0)
    page = history.page(2)
    assert (page.first, page.next, len(page.turns)) == (6, 10, 4)


def test_who_asks_for_turns_to_come_gets_none_and_the_next_number() -> None:
    history = TurnHistory()
    history.add(turns(0, 2), 0.0)
    assert (history.page(50).first, history.page(50).next, history.page(50).turns) == (2, 2, ())


def test_the_first_turn_after_a_time_is_found() -> None:
    history = TurnHistory()
    assert history.number_at(0.0) == 0
    history.add(turns(0, 10), 0.0)
    assert history.number_at(4.6) == 5
    assert history.number_at(99.0) == 10
