"""Clients have colours that differ while there are enough, and that mostly stay."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from rota.figures.palette import COLOURS, colours

names = st.sets(st.text(min_size=1, max_size=20), max_size=20)


@given(names)
def test_no_colour_is_used_twice_before_all_are_used_once(clients: set[str]) -> None:
    found = list(colours(clients).values())
    counts = [found.count(colour) for colour in COLOURS]
    assert max(counts) - min(counts) <= 1


@given(names)
def test_the_order_of_clients_does_not_matter(clients: set[str]) -> None:
    assert colours(sorted(clients)) == colours(sorted(clients, reverse=True))


def test_these_are_the_colours_that_the_page_finds_too() -> None:
    """Held against the page's own in tests/web."""
    assert colours(["job/a", "job/b", "ns/pod/main"]) == colours(["ns/pod/main", "job/b", "job/a"])
    assert len(set(colours(["job/a", "job/b", "ns/pod/main"]).values())) == 3
