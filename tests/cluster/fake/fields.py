"""Who owns which field, and what server-side apply makes of it.

A field is a path of keys to what is no map: lists are taken whole, as the real one does with those
that it calls atomic. Nobody but their owner writes into a list of these tests, so none is merged.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

Thing = dict[str, Any]
Path = tuple[str, ...]
Owner = tuple[str, str]
"""A manager, and `Apply` or `Update`."""

NOBODYS = {"apiVersion", "kind", "status"}
IDENTITY = {
    "name", "namespace", "uid", "resourceVersion", "creationTimestamp", "managedFields",
    "generation", "deletionTimestamp",
}  # fmt: skip


def leaves(thing: Thing) -> set[Path]:
    """Every field that somebody may own."""
    body = {key: value for key, value in thing.items() if key not in NOBODYS}
    meta = body.pop("metadata", None) or {}
    if said := {key: value for key, value in meta.items() if key not in IDENTITY}:
        body["metadata"] = said
    return set(_below(body))


def _below(value: Any, path: Path = ()) -> Iterator[Path]:
    if isinstance(value, dict):
        for key, each in value.items():
            yield from _below(each, (*path, key)) if each != {} else iter([(*path, key)])
    else:
        yield path


def value_at(thing: Any, path: Path) -> Any:
    """What is there; None for nothing."""
    for key in path:
        thing = thing.get(key) if isinstance(thing, dict) else None
    return thing


def changed(before: Thing, after: Thing) -> set[Path]:
    """Fields that a write set to something else."""
    return {path for path in leaves(after) if value_at(before, path) != value_at(after, path)}


def owned(thing: Thing) -> dict[Owner, set[Path]]:
    """Who owns what."""
    return {
        (entry["manager"], entry["operation"]): set(_paths(entry["fieldsV1"]))
        for entry in thing["metadata"].get("managedFields", [])
    }


def _paths(tree: Thing, path: Path = ()) -> Iterator[Path]:
    for key, below in tree.items():
        here = (*path, key.removeprefix("f:"))
        yield from _paths(below, here) if below else iter([here])


def own(thing: Thing, owner: Owner, paths: set[Path]) -> None:
    """It owns exactly these from now on."""
    manager, operation = owner
    if paths == owned(thing).get(owner, set()):
        return
    kept = [
        entry for entry in thing["metadata"].get("managedFields", [])
        if (entry["manager"], entry["operation"]) != owner
    ]  # fmt: skip
    if paths:
        tree: Thing = {}
        for path in sorted(paths):
            place = tree
            for key in path:
                place = place.setdefault(f"f:{key}", {})
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        entry = {"manager": manager, "operation": operation, "fieldsV1": tree, "time": now}
        kept.append(entry)
    thing["metadata"]["managedFields"] = kept


def take(thing: Thing, owner: Owner, paths: set[Path]) -> None:
    """It wrote these: it owns them besides its own, and nobody else does any more."""
    held = owned(thing)
    for other, theirs in held.items():
        own(thing, other, theirs - paths)
    own(thing, owner, held.get(owner, set()) | paths)


def conflicts(thing: Thing, body: Thing, owner: Owner) -> dict[Path, list[str]]:
    """Fields that others own with another value, and who they are."""
    found: dict[Path, list[str]] = {}
    for path in leaves(body):
        others = [who for (who, how), theirs in owned(thing).items()
                  if (who, how) != owner and path in theirs]  # fmt: skip
        if others and value_at(thing, path) != value_at(body, path):
            found[path] = others
    return found


def restamped(thing: Thing, owner: Owner) -> None:
    """It wrote something just now."""
    for entry in thing["metadata"]["managedFields"]:
        if (entry["manager"], entry["operation"]) == owner:
            entry["time"] = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def applied(thing: Thing, body: Thing, owner: Owner) -> Thing:
    """The object after server-side apply: it owns what the body says, and drops what it says no more."""
    thing, wanted = copy.deepcopy(thing), leaves(body)
    held = owned(thing)
    taken = {path for path in wanted if value_at(thing, path) != value_at(body, path)}
    for other, theirs in held.items():
        if other != owner:
            own(thing, other, theirs - taken)
    elsewhere = set().union(
        *(owned(thing)[other] for other in owned(thing) if other != owner), set()
    )
    for path in held.get(owner, set()) - wanted - elsewhere:
        _remove(thing, path)
    for path in wanted:
        _put(thing, path, copy.deepcopy(value_at(body, path)))
    own(thing, owner, wanted)
    if taken:
        restamped(thing, owner)
    return thing


def _put(thing: Thing, path: Path, value: Any) -> None:
    *way, last = path
    for key in way:
        thing = thing.setdefault(key, {})
    thing[last] = value


def _remove(thing: Thing, path: Path) -> None:
    """With the maps that are empty then, as nobody owns those."""
    *way, last = path
    places = [thing]
    for key in way:
        if not isinstance(places[-1].get(key), dict):
            return
        places.append(places[-1][key])
    places[-1].pop(last, None)
    for key, place in zip(reversed(way), reversed(places[:-1]), strict=True):
        if place.get(key) == {}:
            del place[key]


def owners(thing: Thing, *path: str) -> set[Owner]:
    """Who owns a field."""
    return {owner for owner, theirs in owned(thing).items() if path in theirs}
