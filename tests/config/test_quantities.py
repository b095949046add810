"""Durations, sizes and percentages: what is read, what is refused, and that both ways agree."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rota.config.quantities import (
    QuantityError,
    format_duration,
    format_size,
    parse_duration,
    parse_percent,
    parse_size,
)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("100ms", 0.1),
        ("1m", 60.0),
        ("1h30m", 5400.0),
        ("0.5s", 0.5),
        (".5s", 0.5),
        ("250us", 0.00025),
        ("250µs", 0.00025),
        ("7ns", 7e-9),
        ("0s", 0.0),
        ("1m0.25s", 60.25),
    ],
)
def test_a_duration_is_a_number_with_its_unit(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["100", "0", "1.5", ".5"])
def test_a_duration_without_a_unit_is_refused_and_the_message_says_so(text: str) -> None:
    with pytest.raises(QuantityError, match="has no unit") as caught:
        parse_duration(text)
    assert f"`{text}ms`" in caught.value.hint


@pytest.mark.parametrize("text", ["", "ms", "1d", "-1s", "1 s", "1s2", "1.s", "1S", "٣s", "1e3s"])
def test_any_other_form_of_duration_is_refused_with_the_right_one(text: str) -> None:
    with pytest.raises(QuantityError, match="is no duration") as caught:
        parse_duration(text)
    assert "`100ms`" in caught.value.hint


def test_a_duration_beyond_a_century_is_refused() -> None:
    with pytest.raises(QuantityError, match="century"):
        parse_duration("999999999h")


@given(st.integers(0, 10**18))
def test_a_formatted_duration_reads_back_to_the_nanosecond(nanoseconds: int) -> None:
    seconds = nanoseconds / 10**9
    again = parse_duration(format_duration(seconds))
    assert again == pytest.approx(seconds, rel=1e-15, abs=1e-9)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.1, "100ms"), (0.0, "0s"), (90.0, "1m30s"), (5400.0, "1h30m"), (0.0015, "1.5ms")],
)
def test_a_duration_is_formatted_as_a_person_writes_it(seconds: float, text: str) -> None:
    assert format_duration(seconds) == text


@pytest.mark.parametrize(
    ("written", "size"),
    [
        ("4Gi", 4 << 30),
        ("500M", 500_000_000),
        ("1.5GiB", 3 << 29),
        ("4096", 4096),
        (4096, 4096),
        ("1k", 1000),
        ("2 GB", 2 * 10**9),
        ("0", 0),
        ("3Ti", 3 << 40),
    ],
)
def test_a_size_is_bytes_or_a_number_with_its_prefix(written: str | int, size: int) -> None:
    assert parse_size(written) == size


@pytest.mark.parametrize("written", ["", "Gi", "-1", "4gi ", "4 Gi B", "4Xi", True, "1e9", "0x10"])
def test_any_other_form_of_size_is_refused_with_the_right_one(written: str | int) -> None:
    with pytest.raises(QuantityError, match="is no size") as caught:
        parse_size(written)
    assert "Gi" in caught.value.hint


def test_a_size_beyond_any_memory_is_refused() -> None:
    with pytest.raises(QuantityError, match="beyond any memory"):
        parse_size("9000000000000Ti")


@given(st.integers(0, 2**63 - 1))
def test_a_formatted_size_reads_back_as_the_same_number(size: int) -> None:
    assert parse_size(format_size(size)) == size


@given(st.integers(1, 1023), st.sampled_from(["Ki", "Mi", "Gi", "Ti"]))
def test_a_round_size_is_formatted_in_its_own_unit(number: int, unit: str) -> None:
    assert format_size(parse_size(f"{number}{unit}")) == f"{number}{unit}"


def test_a_percentage_is_a_part_of_the_whole() -> None:
    assert parse_percent("50%") == 0.5
    assert parse_percent("12.5 %") == 0.125
    assert parse_percent("100%") == 1.0


@pytest.mark.parametrize("text", ["50", "%", "-1%", "101%", "half"])
def test_what_is_no_part_is_refused(text: str) -> None:
    with pytest.raises(QuantityError):
        parse_percent(text)


def outcome(parse: Callable[[str], float], text: str) -> float | str:
    try:
        return parse(text)
    except QuantityError as error:
        return error.hint


@given(st.text() | st.from_regex(r"[0-9.]{0,4}[a-zA-Z%µ ]{0,3}"))
def test_any_text_is_read_or_refused_with_a_hint(text: str) -> None:
    for parse in (parse_duration, parse_size, parse_percent):
        result = outcome(parse, text)
        assert result if isinstance(result, str) else result >= 0
