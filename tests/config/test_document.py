"""Trees with positions, by the rules of the YAML that NVIDIA's plugin reads."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rota.config.document import (
    Mapping,
    Scalar,
    SyntaxProblem,
    embedded_origin,
    find,
    read_documents,
    read_first,
    text_of,
)
from rota.config.findings import Mark


def only(text: str) -> Any:
    (document,) = read_documents(text, "f")
    return document


def plain(text: str) -> Any:
    return only(text).plain()


def refusal(text: str) -> SyntaxProblem:
    with pytest.raises(SyntaxProblem) as caught:
        read_documents(text, "f")
    assert caught.value.mark.line >= 1
    assert caught.value.mark.column >= 1
    return caught.value


def places(text: str) -> list[Mark]:
    """Where the roots of a text stand, or where it is refused."""
    try:
        return [node.mark for node in read_documents(text, "f")]
    except SyntaxProblem as problem:
        return [problem.mark]


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("yes", True),
        ("Off", False),
        ("n", False),
        ("~", None),
        ("", None),
        ("Null", None),
        ("12", 12),
        ("010", 8),
        ("08", 8.0),
        ("0o17", 15),
        ("0x1F", 31),
        ("-0b101", -5),
        ("1_000", 1000),
        ("+3", 3),
        ("2.0", 2.0),
        ("1e3", 1000.0),
        (".5", 0.5),
        ("-.inf", float("-inf")),
        ("18446744073709551615", 2**64 - 1),
        ("18446744073709551616", float(2**64)),
        ("1:30", "1:30"),
        ("2001-01-01", "2001-01-01"),
        ("1.2.3", "1.2.3"),
        ("0x", "0x"),
        ("nvidia.com/gpu", "nvidia.com/gpu"),
        ("'yes'", "yes"),
        ('"4"', "4"),
        ("!!str 4", "4"),
        ("!!int '4'", 4),
        ("!!float 4", 4.0),
        ("!!binary aGk=", "hi"),
        ("!mine 4", "4"),
        ("! 4", "4"),
        ("!!python/object:os.system x", "x"),
    ],
)
def test_a_scalar_means_what_go_makes_of_it(written: str, value: object) -> None:
    read = plain(f"k: {written}\n")["k"]
    assert read == value
    assert type(read) is type(value)


@pytest.mark.parametrize("written", ["!!int x", "!!bool 1", "!!float yes", "!!binary ä"])
def test_a_tag_that_the_text_cannot_be_is_refused(written: str) -> None:
    assert refusal(f"k: {written}\n").mark == Mark("f", 1, 4)


def test_every_key_and_value_knows_its_place() -> None:
    tree = only("a: 1\nb:\n- c: [2, 3]\n")
    assert tree.entry("b").mark == Mark("f", 2, 1)
    number = find(tree, "b", 0, "c", 1)
    assert number is not None
    assert number.mark == Mark("f", 3, 10)
    assert find(tree, "b", 1) is None
    assert find(tree, "a", "b") is None
    assert text_of(find(tree, "a")) is None


def test_the_last_of_doubles_counts_and_the_later_ones_are_named() -> None:
    tree = only("a: 1\nb: 2\na: 3\n")
    assert tree.get("a").value == 3
    assert [entry.mark.line for entry in tree.doubles()] == [3]


def test_keys_are_the_strings_that_json_has() -> None:
    assert plain("1: a\nyes: b\n2.0: c\n'x': d\n") == {"1": "a", "true": "b", "2": "c", "x": "d"}


@pytest.mark.parametrize("text", ["? [a]\n: b", "~: 1", "? {a: b}\n: c"])
def test_a_key_that_is_no_word_is_refused(text: str) -> None:
    assert "key" in refusal(text).what


def test_merge_keys_bring_in_entries_that_are_no_doubles() -> None:
    tree = only("base: &b {x: 1, z: 2}\nmine:\n  <<: *b\n  z: 3\n")
    mine = tree.get("mine")
    assert mine.plain() == {"x": 1, "z": 3}
    assert list(mine.doubles()) == []
    assert mine.entry("x").mark.line == 1


def test_the_first_of_several_merged_maps_wins() -> None:
    assert plain("a: &a {x: 1}\nb: &b {x: 2}\nc: {<<: [*a, *b]}\n")["c"] == {"x": 1}


def test_a_quoted_merge_key_is_a_key_like_any_other() -> None:
    assert plain("'<<': 1") == {"<<": 1}


def test_a_merge_of_what_is_no_map_is_refused() -> None:
    assert "`<<`" in refusal("<<: 4").what


def test_an_anchor_that_refers_to_itself_is_refused() -> None:
    assert "refers to itself" in refusal("a: &x [*x]").what
    assert refusal("a: &x\n  b: *x").mark == Mark("f", 2, 6)


def test_an_alias_without_anchor_is_refused_at_its_place() -> None:
    assert refusal("a: 1\nb: *nope").mark == Mark("f", 2, 4)


def test_an_anchor_may_be_given_anew() -> None:
    assert plain("a: &x 1\nb: *x\nc: &x 2\nd: *x\n") == {"a": 1, "b": 1, "c": 2, "d": 2}


@pytest.mark.parametrize("link", ["[{}]", "{{{}}}"])
def test_aliases_of_aliases_cannot_make_a_giant(link: str) -> None:
    keyed = link == "{{{}}}"
    lines = ["a0: &a0 [x]"]
    for level in range(1, 10):
        parts = (f"k{n}: *a{level - 1}" if keyed else f"*a{level - 1}" for n in range(10))
        lines.append(f"a{level}: &a{level} {link.format(', '.join(parts))}")
    assert "too much" in refusal("\n".join(lines)).what


def test_merges_of_merges_cannot_make_a_giant() -> None:
    lines = ["a0: &a0 {x: 1, z: 2}"]
    for level in range(1, 30):
        again = ", ".join([f"*a{level - 1}"] * 10)
        lines.append(f"a{level}: &a{level} {{<<: [{again}]}}")
    assert "too much" in refusal("\n".join(lines)).what


def test_nesting_has_a_bound_far_above_any_real_text() -> None:
    assert plain("[" * 50 + "]" * 50)
    assert "too deeply" in refusal("[" * 300).what
    assert "too deeply" in refusal("\n".join(" " * n + "a:" for n in range(200))).what


def test_several_documents_are_read_each_on_its_own() -> None:
    first, second = read_documents("a: &x 1\n---\nb: 2\n", "f")
    assert first.plain() == {"a": 1}
    assert second.mark == Mark("f", 3, 1)
    assert "no anchor" in refusal("a: &x 1\n---\nb: *x\n").what


def test_an_empty_text_has_no_document_and_an_empty_document_is_null() -> None:
    assert read_documents("", "f") == ()
    assert read_documents("# only words\n", "f") == ()
    assert [node.plain() for node in read_documents("---\n---\na\n", "f")] == [None, "a"]


def test_the_first_document_is_read_whatever_follows_it() -> None:
    first, second = read_first("a: 1\n---\nb: [\n", "f")
    assert first is not None
    assert first.plain() == {"a": 1}
    assert second is not None
    assert second.line >= 2
    assert read_first("a: 1\n---\n", "f")[1] is None
    assert read_first("", "f") == (None, None)


def test_a_missing_colon_is_no_second_document() -> None:
    with pytest.raises(SyntaxProblem, match="does not belong here") as caught:
        read_first("version v1\nsharing: {}\n", "f")
    assert "`:` missing above" in caught.value.hint


def test_a_byte_order_mark_crlf_and_comments_are_no_obstacle() -> None:
    assert plain("\ufeffa: 1 # one\r\nb: 2\r\n") == {"a": 1, "b": 2}


def test_json_is_yaml_also_with_tabs_and_escapes() -> None:
    text = '{\n\t"a": [1,\n\t\t2.5],\n\t"b": "\\ud83d\\ude00 \\/",\t"c": null}'
    assert plain(text) == {"a": [1, 2.5], "b": "😀 /", "c": None}


def test_a_tab_may_stand_after_a_value_but_not_indent() -> None:
    assert plain("a:\t1\t# one\nb: 2\t\n") == {"a": 1, "b": 2}
    assert plain("a: two\twords \t# one\n") == {"a": "two\twords"}
    problem = refusal("a:\n\tb: 1\n")
    assert problem.mark == Mark("f", 2, 1)
    assert problem.hint == "indent with spaces"


@pytest.mark.parametrize("text", ["a: {b", "a: 'b", "a: `b`", "a: b: c", "- a\n-b: c\n", "a: \x00"])
def test_what_is_no_yaml_is_refused_with_a_place(text: str) -> None:
    assert refusal(text).what


def test_a_fault_of_the_parser_is_a_refusal_too() -> None:
    assert refusal('a: "\\UFFFFFFFF"').mark.line == 1


@pytest.mark.parametrize(
    ("outer", "inner_place"),
    [
        ("data:\n  k: |\n    x: 1\n    z: 2\n", Mark("f", 3, 5)),
        ("data:\n  k: |-   # words\n      x: 1\n      z: 2\n", Mark("f", 3, 7)),
        ("data:\n  k: |2\n    x: 1\n    z: 2\n", Mark("f", 3, 5)),
        ("data:\n  k: &a !!str\n   |\n    x: 1\n    z: 2\n", Mark("f", 4, 5)),
        ("data:\r\n  k: |\r\n    x: 1\r\n    z: 2\r\n", Mark("f", 3, 5)),
    ],
)
def test_a_text_in_a_literal_keeps_its_places_in_the_file_around_it(
    outer: str, inner_place: Mark
) -> None:
    literal = find(only(outer), "data", "k")
    assert isinstance(literal, Scalar)
    origin = embedded_origin(literal)
    assert origin == inner_place
    (inner,) = read_documents(literal.text, "f", origin)
    assert isinstance(inner, Mapping)
    second = inner.entry("z")
    assert second is not None
    assert second.mark == Mark("f", inner_place.line + 1, inner_place.column)


def test_a_literal_in_a_list_and_one_that_begins_with_empty_lines() -> None:
    (literal,) = only("- |\n\n\n   z: 1\n").items
    assert embedded_origin(literal) == Mark("f", 2, 4)
    (inner,) = read_documents(literal.text, "f", embedded_origin(literal))
    assert inner.mark == Mark("f", 4, 4)


def test_only_a_literal_has_a_place_for_its_text() -> None:
    folded = find(only("k: >\n  x\n"), "k")
    assert isinstance(folded, Scalar)
    assert embedded_origin(folded) is None
    literal = find(only("k: |\n  x\n"), "k")
    assert isinstance(literal, Scalar)
    assert embedded_origin(literal, indent=2) == Mark("f", 2, 3)


@given(st.text())
def test_any_text_is_read_or_refused_with_a_place(text: str) -> None:
    assert all(mark.line >= 1 and mark.column >= 1 for mark in places(text))


LEAVES = st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.text(max_size=30)
LISTS = st.lists(LEAVES, max_size=4)
MAPS = st.dictionaries(st.text(max_size=30), LEAVES | LISTS, max_size=4)


@given(LEAVES | st.lists(LEAVES | LISTS | MAPS, max_size=4) | MAPS)
def test_json_reads_as_what_it_says(value: object) -> None:
    assert plain(json.dumps(value)) == value
