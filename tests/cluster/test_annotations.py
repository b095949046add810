"""What a pod may wish, and that no annotation whatever does harm."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rota.cluster.annotations import (
    CLASS,
    HEAVIEST,
    KNOWN,
    LIGHTEST,
    MEMORY,
    PAGING,
    WEIGHT,
    PodWish,
    parse,
    table,
)
from rota.jobs import job
from rota.scheduling.terms import Priority


def test_nothing_is_needed() -> None:
    assert parse({}) == (PodWish(), ())
    assert parse({"example.com/weight": "9"}) == (PodWish(), ())


def test_all_that_may_be_said() -> None:
    wish, bad = parse({WEIGHT: "2.5", CLASS: "interactive", MEMORY: "8Gi", PAGING: "never"})
    assert wish == PodWish(2.5, Priority.INTERACTIVE, 8 << 30, pageable=False)
    assert bad == ()


@pytest.mark.parametrize(
    ("key", "value", "says"),
    [
        (WEIGHT, "heavy", "a number from 0.01 to 100"),
        (WEIGHT, "0", "a number from 0.01 to 100"),
        (WEIGHT, "nan", "a number from 0.01 to 100"),
        (WEIGHT, "-1", "a number from 0.01 to 100"),
        (WEIGHT, "inf", "a number from 0.01 to 100"),
        (CLASS, "Interactive!", "one of interactive, standard, batch"),
        (MEMORY, "8 Giga", "a size such as 8Gi"),
        (MEMORY, "0", "a size such as 8Gi"),
        (PAGING, "maybe", "auto or never"),
        ("rota.dev/wieght", "2", "did you mean rota.dev/weight?"),
        ("rota.dev/x", "", "there is rota.dev/weight"),
    ],
)
def test_what_makes_no_sense_counts_as_the_default_and_is_told(
    key: str, value: str, says: str
) -> None:
    wish, (bad,) = parse({key: value})
    assert wish == PodWish()
    assert bad.key == key
    assert says in bad.what


def test_one_bad_value_leaves_the_good_ones() -> None:
    wish, bad = parse({WEIGHT: "x", CLASS: "batch"})
    assert wish == PodWish(priority=Priority.BATCH)
    assert [one.key for one in bad] == [WEIGHT]


@given(
    st.dictionaries(
        st.sampled_from(KNOWN) | st.text(max_size=8).map("rota.dev/".__add__), st.text()
    )
)
def test_whatever_is_said_a_wish_comes_out(annotations: dict[str, str]) -> None:
    wish, bad = parse(annotations)
    assert LIGHTEST <= wish.weight <= HEAVIEST
    assert math.isfinite(wish.weight)
    assert wish.memory is None or wish.memory > 0
    assert all(len(one.what) < 400 for one in bad)


def test_weights_have_the_bounds_of_local_jobs() -> None:
    assert (LIGHTEST, HEAVIEST) == (job.LIGHTEST, job.HEAVIEST)


def test_the_reference_names_every_annotation() -> None:
    assert all(f"`{key}`" in table() for key in KNOWN)
