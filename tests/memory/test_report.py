"""Who is over its limit where nothing is held, and whom `evict: true` ends."""

from __future__ import annotations

import os

from hypothesis import given, settings
from hypothesis import strategies as st

from rota.memory.limits import Row
from rota.memory.report import low_water, offenders, to_evict

RANDOM = os.environ.get("ROTA_EXAMPLES")
PROFILE = settings(
    max_examples=int(RANDOM or 60), derandomize=not RANDOM, deadline=None, database=None
)
GIB = 2**30


def row(client: str, use: int, limit: int | None) -> Row:
    left = 0 if limit is None else limit - use
    return Row(client, limit, limit or 0, use, max(0, left), max(0, -left))


ROWS = st.lists(
    st.builds(
        row,
        st.text("abc", max_size=4),
        st.integers(0, 99),
        st.one_of(st.none(), st.integers(0, 99)),
    ),
    max_size=6,
    unique_by=lambda one: one.client,
)


def test_who_is_over_its_limit_is_named_with_figures_the_worst_first() -> None:
    rows = [row("a", 5 * GIB, 4 * GIB), row("b", 4 * GIB, 4 * GIB), row("c", 7 * GIB, 4 * GIB)]
    found = offenders(rows)
    assert [one.client for one in found] == ["c", "a"]
    assert str(found[0]) == "c uses 7.0 GiB, 3.0 GiB more than its limit of 4.0 GiB"


def test_among_equals_the_smaller_limit_then_the_latest_comes_first() -> None:
    rows = [row("a", 11, 10), row("b", 6, 5), row("c", 6, 5)]
    assert [one.client for one in offenders(rows)] == ["c", "b", "a"]


def test_nobody_is_ended_while_there_is_room() -> None:
    assert to_evict([row("a", 50, 10)], free=20, low=20) is None


def test_the_worst_is_ended_before_the_gpu_is_full() -> None:
    rows = [row("a", 50, 10), row("b", 60, 10), row("c", 70, 70)]
    worst = to_evict(rows, free=19, low=20)
    assert worst is not None
    assert worst.client == "b"


def test_nobody_more_is_ended_while_the_last_one_is_ending() -> None:
    rows = [row("a", 50, 10), row("b", 60, 10)]
    assert to_evict(rows, free=5, low=20, ending={"b"}) is None
    second = to_evict([row("a", 50, 10), row("b", 12, 10)], free=5, low=20, ending={"b"})
    assert second is not None
    assert second.client == "a"


def test_full_is_two_percent_or_a_context() -> None:
    assert low_water(100 * GIB, GIB) == 2 * GIB
    assert low_water(16 * GIB, GIB) == GIB


@PROFILE
@given(ROWS, st.integers(0, 50), st.integers(0, 50))
def test_a_client_within_its_limit_is_never_ended(rows: list[Row], free: int, low: int) -> None:
    worst = to_evict(rows, free, low)
    if worst:
        mine = next(one for one in rows if one.client == worst.client)
        assert mine.limit is not None
        assert mine.use > mine.limit
        assert worst.over == max(one.over for one in rows)
        assert free < low
