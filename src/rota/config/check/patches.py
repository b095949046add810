"""Strategic merge patches and JSON patches on trees that know their positions.

A patched tree keeps each part's own position: a value that a patch brought in stands in the patch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from rota.config.document import Entry, Mapping, Node, Scalar, Sequence, find, text_of
from rota.config.findings import Mark

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
    verb, path = text_of(find(operation, "op")), text_of(find(operation, "path")) or ""
    place = find(operation, "path") or operation
    steps = [s.replace("~1", "/").replace("~0", "~") for s in path.split("/")[1:]]
    value = find(operation, "value")
    if verb in ("move", "copy"):
        value = _at(base, (text_of(find(operation, "from")) or "").split("/")[1:])
    try:
        if verb in ("add", "replace", "move", "copy") and value is not None:
            return _edit(
                base, steps, lambda _: value, grow=lenient or verb != "replace", deep=lenient
            )
        if verb == "remove":
            return _edit(base, steps, lambda _: None, grow=False, deep=False)
    except LookupError:
        if not lenient:
            raise PatchMiss(path, place.mark) from None
    return base


def _at(node: Node | None, steps: list[str]) -> Node | None:
    for step in steps:
        if isinstance(node, Sequence):
            node = find(node, int(step)) if step.isdecimal() else None
        else:
            node = find(node, step)
    return node


def _edit(
    node: Node, steps: list[str], change: Callable[[Node], Node | None], *, grow: bool, deep: bool
) -> Node:
    if not steps:
        return change(node) or Scalar(node.mark, None, "")
    step, rest = steps[0], steps[1:]
    if isinstance(node, Sequence):
        return _edit_list(node, step, lambda item: _inner(item, rest, change, grow, deep), grow)
    if not isinstance(node, Mapping):
        raise LookupError(step)
    old = node.get(step)
    if old is None and (not grow or (rest and not deep)):
        raise LookupError(step)
    new = _inner(old or Mapping(node.mark, ()), rest, change, grow, deep)
    others = tuple(e for e in node.entries if e.key != step)
    added = (Entry(step, new.mark, new),) if new is not None else ()
    return Mapping(node.mark, others + added)


def _inner(
    node: Node, rest: list[str], change: Callable[[Node], Node | None], grow: bool, deep: bool
) -> Node | None:
    return _edit(node, rest, change, grow=grow, deep=deep) if rest else change(node)


def _edit_list(
    node: Sequence, step: str, change: Callable[[Node], Node | None], grow: bool
) -> Sequence:
    if step == "-" and grow:
        new = change(Mapping(node.mark, ()))
        return Sequence(node.mark, node.items + ((new,) if new is not None else ()))
    if not step.isdecimal() or int(step) >= len(node.items) + int(grow):
        raise LookupError(step)
    place = int(step)
    old = node.items[place : place + 1] or (Mapping(node.mark, ()),)
    new = change(old[0])
    items = (*node.items[:place], *((new,) if new is not None else ()), *node.items[place + 1 :])
    return Sequence(node.mark, items)
