"""A text as a tree in which every key and every value knows where it stands."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeAlias

from rota.config.findings import Mark

Plain: TypeAlias = "None | bool | int | float | str | list[Plain] | dict[str, Plain]"


@dataclass(frozen=True, slots=True)
class Scalar:
    """A value without parts.

    Attributes:
        mark: where it begins.
        value: what it means by the rules of YAML 1.1.
        text: as written, without quotes and escapes.
        block: it is a `|` literal, which keeps its lines.
        body: for a `|` literal, where the first character of its text stands.
    """

    mark: Mark
    value: None | bool | int | float | str
    text: str
    block: bool = False
    body: Mark | None = None

    def plain(self) -> Plain:
        """The value itself."""
        return self.value


@dataclass(frozen=True, slots=True)
class Sequence:
    """A list."""

    mark: Mark
    items: tuple[Node, ...]

    def plain(self) -> Plain:
        """As a list of plain values."""
        return [item.plain() for item in self.items]


@dataclass(frozen=True, slots=True)
class Entry:
    """One `key: value` of a mapping, where it stands; `merged` tells one that `<<` brought in."""

    key: str
    mark: Mark
    value: Node
    merged: bool = False


@dataclass(frozen=True, slots=True)
class Mapping:
    """A mapping with its entries in the order of the text, doubles included."""

    mark: Mark
    entries: tuple[Entry, ...]

    def get(self, key: str) -> Node | None:
        """The value of the last entry with this very key."""
        entry = self.entry(key)
        return entry.value if entry else None

    def entry(self, key: str) -> Entry | None:
        """The last entry with this very key."""
        return next((e for e in reversed(self.entries) if e.key == key), None)

    def doubles(self) -> Iterator[Entry]:
        """Entries whose key was written before in this mapping; what `<<` brings in is no double."""
        seen: set[str] = set()
        for entry in self.entries:
            if entry.merged:
                continue
            if entry.key in seen:
                yield entry
            seen.add(entry.key)

    def plain(self) -> Plain:
        """As a dict of plain values; of doubles, the last."""
        return {entry.key: entry.value.plain() for entry in self.entries}


Node: TypeAlias = Scalar | Sequence | Mapping


def find(node: Node | None, *path: str | int) -> Node | None:
    """The node under `path` (keys and list indexes); None where there is none."""
    for step in path:
        if isinstance(node, Mapping) and isinstance(step, str):
            node = node.get(step)
        elif isinstance(node, Sequence) and isinstance(step, int):
            node = node.items[step] if -len(node.items) <= step < len(node.items) else None
        else:
            return None
    return node


def text_of(node: Node | None) -> str | None:
    """The string that a node is; None for anything else."""
    return node.value if isinstance(node, Scalar) and isinstance(node.value, str) else None
