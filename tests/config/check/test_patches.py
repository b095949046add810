"""Strategic merge patches and JSON patches on trees."""

from __future__ import annotations

import pytest

from rota.config.check.patches import PatchMiss, apply_json_patch, is_json_patch, merge
from rota.config.document import Node, Plain, Sequence, read_documents


def tree(text: str, file: str = "t") -> Node:
    return read_documents(text, file)[0]


def patched(base: str, patch: str) -> Plain:
    operations = tree(patch)
    assert isinstance(operations, Sequence)
    return apply_json_patch(tree(base), operations).plain()


@pytest.mark.parametrize(
    ("base", "patch", "result"),
    [
        ("{a: 1}", "{b: 2}", {"a": 1, "b": 2}),
        ("{a: {b: 1, c: 2}}", "{a: {b: 3}}", {"a": {"b": 3, "c": 2}}),
        ("{a: 1, b: 2}", "{a: null}", {"b": 2}),
        ("{a: [1, 2]}", "{a: [3]}", {"a": [3]}),
        ("{a: [{name: x, v: 1}]}", "{a: [{name: x, v: 2}]}", {"a": [{"name": "x", "v": 2}]}),
        ("{a: [{name: x}]}", "{a: [{name: z}]}", {"a": [{"name": "x"}, {"name": "z"}]}),
        ("{a: [{name: x}]}", "{a: [{name: x, $patch: delete}]}", {"a": []}),
        ("{a: {b: 1}}", "{a: {$patch: replace, c: 1}}", {"a": {"c": 1}}),
    ],
)
def test_a_strategic_merge(base: str, patch: str, result: Plain) -> None:
    assert merge(tree(base), tree(patch)).plain() == result


def test_a_merged_value_stands_where_the_patch_says_it() -> None:
    merged = merge(tree("{a: 1}", "base"), tree("{b: 2}", "patch"))
    assert [e.mark.file for e in merged.entries] == ["base", "patch"]  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("base", "patch", "result"),
    [
        ("{a: 1}", "[{op: add, path: /b, value: 2}]", {"a": 1, "b": 2}),
        ("{a: [1]}", "[{op: add, path: /a/-, value: 2}]", {"a": [1, 2]}),
        ("{a: [1]}", "[{op: replace, path: /a/0, value: 2}]", {"a": [2]}),
        ("{a: [1, 2]}", "[{op: remove, path: /a/0}]", {"a": [2]}),
        ("{a: {b: 1}}", "[{op: remove, path: /a/b}]", {"a": {}}),
        ("{a: {b/c: 1}}", "[{op: remove, path: /a/b~1c}]", {"a": {}}),
        ("{a: 1}", "[{op: copy, from: /a, path: /b}]", {"a": 1, "b": 1}),
        ("{a: 1}", "[{op: test, path: /a, value: 1}]", {"a": 1}),
        ("{a: 1}", "[{op: move, from: /a, path: /b}]", {"b": 1}),
        ("{a: [1, 3]}", "[{op: add, path: /a/1, value: 2}]", {"a": [1, 2, 3]}),
    ],
)
def test_a_json_patch(base: str, patch: str, result: Plain) -> None:
    assert patched(base, patch) == result


@pytest.mark.parametrize(
    "operation",
    [
        "{op: remove, path: /b}",
        "{op: replace, path: /b, value: 1}",
        "{op: add, path: /b/c, value: 1}",
        "{op: remove, path: /a/b}",
        "{op: remove, path: /l/7}",
        "{op: add, path: /l/7, value: 1}",
        "{op: move, from: /b, path: /c}",
        "{op: remove, path: ''}",
    ],
)
def test_a_place_that_is_not_there(operation: str) -> None:
    with pytest.raises(PatchMiss) as miss:
        patched("{a: 1, l: [1]}", f"[{operation}]")
    assert miss.value.mark.line == 1


def test_a_patch_of_an_object_that_is_not_at_hand_grows_what_it_needs() -> None:
    operations = tree("[{op: add, path: /a/b/c, value: 1}, {op: remove, path: /x}]")
    assert isinstance(operations, Sequence)
    made = apply_json_patch(tree("{}"), operations, lenient=True)
    assert made.plain() == {"a": {"b": {"c": 1}}}


@pytest.mark.parametrize("text", ["[]", "{}", "[1]", "[{op: add}]", "[{path: /a}]"])
def test_what_is_no_json_patch(text: str) -> None:
    assert not is_json_patch(tree(text))
