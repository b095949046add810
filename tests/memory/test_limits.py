"""What a client may use of a GPU: its share to the byte, or a figure of its own, or a refusal."""

from __future__ import annotations

import os

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from rota.memory.limits import Claim, MemoryRefused, Pool, admit, limits, shares, unclaimed

GIB = 2**30
RANDOM = os.environ.get("ROTA_EXAMPLES")
PROFILE = settings(
    max_examples=int(RANDOM or 60), derandomize=not RANDOM, deadline=None, database=None
)
FOUR = Pool("GPU-1", total=16 * GIB, replicas=4, reserve=GIB, context=GIB // 2)

SIZES = st.integers(0, 200 * GIB)
FACTORS = st.sampled_from([1.0, 1.1, 1.5, 2.0, 3.7])


@st.composite
def pools(draw: st.DrawFn) -> Pool:
    return Pool(
        "GPU-1",
        total=draw(st.integers(1, 200 * GIB)),
        replicas=draw(st.integers(1, 64)),
        reserve=draw(st.one_of(st.just(0), SIZES)),
        unmanaged=draw(st.one_of(st.just(0), SIZES)),
        oversubscribe=draw(FACTORS),
        limited=draw(st.sampled_from([True, True, False])),
    )


@st.composite
def claims_of(draw: st.DrawFn, pool: Pool) -> list[Claim]:
    """Claims that hold no more replicas than there are; some have a figure of their own."""
    left = pool.replicas
    found: list[Claim] = []
    while left and draw(st.booleans()):
        replicas = draw(st.integers(1, left))
        own = draw(st.one_of(st.none(), st.none(), SIZES))
        found.append(Claim(f"ns/pod-{len(found)}/main", replicas, own))
        left -= replicas
    return found


def test_four_replicas_are_four_equal_shares_of_what_the_reserve_leaves() -> None:
    due = limits(FOUR, [Claim(name) for name in "abcd"])
    assert due == dict.fromkeys("abcd", 15 * GIB // 4)


def test_two_replicas_are_a_double_share() -> None:
    due = limits(FOUR, [Claim("a", 2), Claim("b")])
    assert due == {"a": 15 * GIB // 2, "b": 15 * GIB // 4}


def test_oversubscribing_twice_makes_limits_twice_as_large_but_never_more_than_the_gpu() -> None:
    double = Pool("GPU-1", 16 * GIB, 4, reserve=GIB, oversubscribe=2.0)
    assert limits(double, [Claim("a")]) == {"a": 15 * GIB // 2}
    assert limits(double, [Claim("a", 4)]) == {"a": 15 * GIB}


def test_a_figure_of_its_own_may_take_what_nobody_claimed() -> None:
    assert admit(FOUR, [Claim("a")], Claim("b", own=11 * GIB)) == 11 * GIB


def test_a_figure_beyond_what_is_unclaimed_is_refused_with_the_figure_that_would_do() -> None:
    most = 15 * GIB - 15 * GIB // 4
    with pytest.raises(
        MemoryRefused, match=r"b asks for 12.0 GiB .* where 11.2 GiB is unclaimed"
    ) as e:
        admit(FOUR, [Claim("a")], Claim("b", own=12 * GIB))
    assert str(most) in e.value.hint
    assert e.value.where == "b"
    assert admit(FOUR, [Claim("a")], Claim("b", own=most)) == most


def test_a_figure_in_which_no_context_fits_is_refused() -> None:
    with pytest.raises(MemoryRefused, match="asks for") as e:
        admit(FOUR, [], Claim("a", own=GIB // 2))
    assert "context alone needs 512.0 MiB" in e.value.hint


def test_a_share_of_which_others_left_nothing_is_refused() -> None:
    others = [Claim("a", own=15 * GIB)]
    with pytest.raises(MemoryRefused, match="too little for a context"):
        admit(FOUR, others, Claim("b"))


def test_without_limits_only_a_figure_of_its_own_is_one() -> None:
    free = Pool("GPU-1", 16 * GIB, 4, limited=False)
    assert limits(free, [Claim("a"), Claim("b", own=GIB)]) == {"a": None, "b": GIB}
    assert admit(free, [Claim("a")], Claim("c")) is None


def test_unmanaged_use_comes_out_of_what_is_unclaimed_first() -> None:
    pool = Pool("GPU-1", 16 * GIB, 4, unmanaged=8 * GIB)
    table = shares(pool, [Claim("a"), Claim("b")], {})
    assert [row.limit for row in table.rows] == [4 * GIB, 4 * GIB]
    assert (table.unmanaged, table.unclaimed) == (8 * GIB, 0)


def test_unmanaged_use_beyond_that_is_borne_by_all_in_proportion() -> None:
    pool = Pool("GPU-1", 16 * GIB, 4, unmanaged=4 * GIB)
    assert limits(pool, [Claim("a", 2), Claim("b"), Claim("c")]) == {
        "a": 6 * GIB,
        "b": 3 * GIB,
        "c": 3 * GIB,
    }


def test_a_row_shows_use_headroom_and_what_is_over() -> None:
    table = shares(FOUR, [Claim("a"), Claim("b")], {"a": 5 * GIB, "b": GIB})
    a, b = table.row("a"), table.row("b")
    assert (a.headroom, a.over) == (0, 5 * GIB - 15 * GIB // 4)
    assert (b.headroom, b.over) == (15 * GIB // 4 - GIB, 0)


def test_no_figure_is_given_out_of_limits_that_unmanaged_use_has_cut() -> None:
    pool = Pool("GPU-1", 100, 1, unmanaged=50, oversubscribe=1.1)
    assert limits(pool, [Claim("a")]) == {"a": 50}
    with pytest.raises(MemoryRefused, match="0 bytes is unclaimed"):
        admit(pool, [Claim("a")], Claim("b", own=1))


@PROFILE
@given(st.data(), pools())
def test_the_columns_add_up_to_the_gpu_to_the_byte(data: st.DataObject, pool: Pool) -> None:
    claims = data.draw(claims_of(pool))
    use = {claim.client: data.draw(SIZES) for claim in claims}
    table = shares(pool, claims, use)
    due = sum(row.limit or 0 for row in table.rows)
    assert table.reserve + table.unmanaged + due + table.unclaimed == pool.total + table.oversold
    assert min(table.reserve, table.unmanaged, table.unclaimed, table.oversold) >= 0
    for row in table.rows:
        assert row.use == use[row.client]
        assert row.limit is None or row.limit == row.use + row.headroom - row.over
        assert min(row.headroom, row.over) >= 0


@PROFILE
@given(st.data(), pools())
def test_what_is_guaranteed_to_all_is_there_at_the_same_time(
    data: st.DataObject, pool: Pool
) -> None:
    table = shares(pool, data.draw(claims_of(pool)), {})
    assert sum(row.guaranteed for row in table.rows) <= pool.room
    assert all(row.guaranteed <= (row.limit or 0) <= pool.room for row in table.rows)
    if pool.oversubscribe == 1.0:
        assert all(row.guaranteed == (row.limit or 0) for row in table.rows)


@PROFILE
@given(st.data(), pools())
def test_a_figure_that_is_admitted_is_given_in_full_and_takes_nothing_from_anybody(
    data: st.DataObject, pool: Pool
) -> None:
    claims = data.draw(claims_of(pool))
    before = limits(pool, claims)
    newcomer = Claim("ns/new/main", 1, data.draw(st.integers(1, max(1, pool.room))))
    try:
        limit = admit(pool, claims, newcomer)
    except MemoryRefused:
        assert newcomer.own is not None
        assert newcomer.own > unclaimed(pool, claims)
        return
    assert limit == newcomer.own
    after = limits(pool, [*claims, newcomer])
    assert {client: after[client] for client in before} == before


@PROFILE
@given(st.data(), pools())
def test_equal_shares_are_equal_to_the_byte(data: st.DataObject, pool: Pool) -> None:
    assume(pool.limited)
    due = limits(pool, [Claim(str(n)) for n in range(data.draw(st.integers(1, pool.replicas)))])
    assert len(set(due.values())) == 1
