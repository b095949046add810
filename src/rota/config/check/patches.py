"""Strategic merge patches and JSON patches on trees that know their positions.

A patched tree keeps each part's own position: a value that a patch brought in stands in the patch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial

from rota.config.document import Entry, Mapping, Node, Scalar, Sequence, find, text_of
from rota.config.findings import Mark

MAX_DEPTH = 100
"""Steps of a path; no object is as deep."""

_MERGE_KEYS = ("name", "containerPort", "mountPath", "key", "ip")


class PatchMiss(Exception):
    """A JSON patch speaks of a place that is not there. `mark` is where the patch says so."""

    def __init__(self, path: str, mark: Mark) -> None:
        super().__init__(path)
        self.path = path
        self.mark = mark


def merge(base: Node, patch: Node) -> Node:
    """`base` under a strategic merge patch: maps merge, null removes, lists of named things merge.

    A list whose items have no name is replaced, as is everything else.
    """
    if isinstance(base, Mapping) and isinstance(patch, Mapping):
        return _merge_maps(base, patch)
    if isinstance(base, Sequence) and isinstance(patch, Sequence):
        return _merge_lists(base, patch)
    return patch


def _merge_maps(base: Mapping, patch: Mapping) -> Mapping:
    if text_of(patch.get("$patch")) == "replace":
        return Mapping(patch.mark, tuple(e for e in patch.entries if e.key != "$patch"))
    merged = {entry.key: entry for entry in base.entries}
    for entry in patch.entries:
        old = merged.get(entry.key)
        if isinstance(entry.value, Scalar) and entry.value.value is None:
            merged.pop(entry.key, None)
        elif old is not None:
            merged[entry.key] = Entry(entry.key, entry.mark, merge(old.value, entry.value))
        else:
            merged[entry.key] = entry
    return Mapping(base.mark, tuple(merged.values()))


def _merge_lists(base: Sequence, patch: Sequence) -> Sequence:
    key = next((k for k in _MERGE_KEYS if _all_have(k, base.items + patch.items)), None)
    if key is None:
        return patch
    items = {text_of(find(item, key)): item for item in base.items}
    for item in patch.items:
        name = text_of(find(item, key))
        if text_of(find(item, "$patch")) == "delete":
            items.pop(name, None)
        else:
            items[name] = merge(items[name], item) if name in items else item
    return Sequence(base.mark, tuple(items.values()))


def _all_have(key: str, items: Iterable[Node]) -> bool:
    return all(text_of(find(item, key)) is not None for item in items)


def is_json_patch(node: Node) -> bool:
    """Whether this is a list of RFC 6902 operations."""
    return (
        isinstance(node, Sequence)
        and bool(node.items)
        and all(
            text_of(find(item, "op")) is not None and text_of(find(item, "path")) is not None
            for item in node.items
        )
    )


def apply_json_patch(base: Node, patch: Sequence, *, lenient: bool = False) -> Node:
    """`base` after the operations of an RFC 6902 patch.

    Args:
        base: the tree before.
        patch: the operations.
        lenient: make parents that are missing, and pass over what cannot be removed. For a patch
            of an object that is not at hand.

    Raises:
        PatchMiss: an operation speaks of a place that is not there (never when lenient).
    """
    for operation in patch.items:
        base = _operate(base, operation, lenient)
    return base


def _operate(base: Node, operation: Node, lenient: bool) -> Node:
    path = text_of(find(operation, "path")) or ""
    try:
        return _changed(base, operation, _steps(path), grow=lenient)
    except LookupError:
        if lenient:
            return base
        place = find(operation, "path") or operation
        raise PatchMiss(path, place.mark) from None


def _changed(base: Node, operation: Node, steps: list[str], *, grow: bool) -> Node:
    verb, value = text_of(find(operation, "op")), find(operation, "value")
    source = _steps(text_of(find(operation, "from")) or "")
    if verb in ("move", "copy"):
        value = _at(base, source)
    if verb == "move":
        base = _edit(base, source, _removed, grow=False)
    if verb == "remove":
        return _edit(base, steps, _removed, grow=False)
    if value is None or verb not in ("add", "replace", "move", "copy"):
        return base
    change = _replaced if verb == "replace" and not grow else _added
    return _edit(base, steps, partial(change, value), grow=grow)


def _steps(path: str) -> list[str]:
    steps = [step.replace("~1", "/").replace("~0", "~") for step in path.split("/")[1:]]
    if len(steps) > MAX_DEPTH:
        raise LookupError(path)
    return steps


def _edit(node: Node, steps: list[str], change: Callable[[Node, str], Node], *, grow: bool) -> Node:
    """`node` with `change(parent, last step)` in place of the parent that the steps lead to."""
    if not steps:
        raise LookupError("the whole object")
    if len(steps) == 1:
        return change(node, steps[0])
    child = _child(node, steps[0])
    if child is None:
        if not grow or not isinstance(node, Mapping):
            raise LookupError(steps[0])
        child = Mapping(node.mark, ())
    return _put(node, steps[0], _edit(child, steps[1:], change, grow=grow))


def _at(node: Node, steps: list[str]) -> Node:
    for step in steps:
        child = _child(node, step)
        if child is None:
            raise LookupError(step)
        node = child
    return node


def _child(node: Node, step: str) -> Node | None:
    if isinstance(node, Sequence):
        return find(node, int(step)) if _is_index(step) else None
    return find(node, step)


def _put(node: Node, step: str, value: Node) -> Node:
    """`node` with another value at a step that is there, or a new one at the end of a map."""
    if isinstance(node, Sequence):
        place = int(step)
        return Sequence(node.mark, (*node.items[:place], value, *node.items[place + 1 :]))
    if not isinstance(node, Mapping):
        raise LookupError(step)
    entry = Entry(step, value.mark, value)
    if node.entry(step) is None:
        return Mapping(node.mark, (*node.entries, entry))
    return Mapping(node.mark, tuple(entry if e.key == step else e for e in node.entries))


def _added(value: Node, node: Node, step: str) -> Node:
    if not isinstance(node, Sequence):
        return _put(node, step, value)
    place = len(node.items) if step == "-" else int(step) if _is_index(step) else -1
    if not 0 <= place <= len(node.items):
        raise LookupError(step)
    return Sequence(node.mark, (*node.items[:place], value, *node.items[place:]))


def _replaced(value: Node, node: Node, step: str) -> Node:
    if _child(node, step) is None:
        raise LookupError(step)
    return _put(node, step, value)


def _removed(node: Node, step: str) -> Node:
    if _child(node, step) is None:
        raise LookupError(step)
    if isinstance(node, Sequence):
        place = int(step)
        return Sequence(node.mark, node.items[:place] + node.items[place + 1 :])
    assert isinstance(node, Mapping)
    return Mapping(node.mark, tuple(e for e in node.entries if e.key != step))


def _is_index(step: str) -> bool:
    return step.isascii() and step.isdecimal() and len(step) < 10
