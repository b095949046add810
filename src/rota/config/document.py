"""YAML and JSON texts as trees in which every key and value knows where it stands.

The YAML is what NVIDIA's plugin reads (sigs.k8s.io/yaml): version 1.1, so `yes` is a boolean, and a
key that is given twice counts with its last value. Doubles are kept, so that somebody can say so.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeAlias

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import MappingNode, ScalarNode, SequenceNode
from ruamel.yaml.nodes import Node as YamlNode

from rota.config.findings import Mark
from rota.errors import RotaError

Plain: TypeAlias = "None | bool | int | float | str | list[Plain] | dict[str, Plain]"


class SyntaxProblem(RotaError):
    """The text is no YAML. `mark` is where the parser gave up."""

    def __init__(self, what: str, mark: Mark, hint: str = "") -> None:
        super().__init__(what, where=str(mark), hint=hint)
        self.mark = mark


@dataclass(frozen=True, slots=True)
class Scalar:
    """A value without parts. `text` is as written, `block` tells a `|` literal."""

    mark: Mark
    value: None | bool | int | float | str
    text: str
    block: bool = False

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
    """One `key: value` of a mapping, where it stands."""

    key: str
    mark: Mark
    value: Node


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
        """Entries whose key was given before in this mapping."""
        seen: set[str] = set()
        for entry in self.entries:
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


def read_documents(text: str, file: str, origin: Mark | None = None) -> tuple[Node, ...]:
    """Parse every document of a YAML or JSON text.

    Args:
        text: the text.
        file: its name in messages.
        origin: where the text begins when it is part of a larger one (a key of a ConfigMap): its
            first character stands there, and further lines are indented as far.

    Returns:
        One tree a document; a document with nothing in it is a null scalar. An empty text has none.

    Raises:
        SyntaxProblem: it is no YAML, or has anchors that refer to themselves.
    """
    reader = _Reader(file, origin or Mark(file, 1, 1))
    try:
        composed = list(_yaml().compose_all(text))
        return tuple(reader.node(node, ()) for node in composed if node is not None)
    except MarkedYAMLError as error:
        raise reader.problem(error) from None
    except YAMLError as error:
        raise SyntaxProblem(_first_line(str(error)), Mark(file, reader.origin.line, 1)) from None
    except (ValueError, RecursionError) as error:
        what = "nested too deeply" if isinstance(error, RecursionError) else _first_line(str(error))
        raise SyntaxProblem(what, Mark(file, reader.origin.line, 1)) from None


def embedded_origin(scalar: Scalar, indent: int) -> Mark | None:
    """Where the first character of a block literal's text stands in the file around it.

    Only a `|` literal keeps its lines; for any other scalar there is no such place. `indent` is
    that of the literal's lines (YAML gives it away only in the text).
    """
    if not scalar.block:
        return None
    return Mark(scalar.mark.file, scalar.mark.line + 1, indent + 1)


def _yaml() -> YAML:
    yaml = YAML(typ="safe", pure=True)
    yaml.version = (1, 1)
    yaml.allow_duplicate_keys = True
    return yaml


def _first_line(text: str) -> str:
    return text.strip().split("\n", 1)[0]


_INT = re.compile(r"[-+]?(0b[01_]+|0x[0-9a-fA-F_]+|0o?[0-7_]+|[1-9][0-9_]*|0)$")
_FLOAT = re.compile(r"[-+]?(\.[0-9_]+|[0-9][0-9_]*(\.[0-9_]*)?)([eE][-+]?[0-9]+)?$")
_SPECIAL = re.compile(r"[-+]?\.(inf|Inf|INF)$|\.(nan|NaN|NAN)$")
_TRUE = {"y", "Y", "yes", "Yes", "YES", "true", "True", "TRUE", "on", "On", "ON"}
_FALSE = {"n", "N", "no", "No", "NO", "false", "False", "FALSE", "off", "Off", "OFF"}
_NULL = {"", "~", "null", "Null", "NULL"}


def _resolve(text: str) -> None | bool | int | float | str:
    """A plain scalar's value by the rules of Go's yaml.v2."""
    if text in _NULL:
        return None
    if text in _TRUE or text in _FALSE:
        return text in _TRUE
    if _INT.match(text):
        return _integer(text)
    if _FLOAT.match(text):
        return float(text.replace("_", ""))
    if _SPECIAL.match(text):
        return float(text.replace(".", "", 1))
    return text


def _integer(text: str) -> int:
    digits = text.replace("_", "").lower()
    sign = -1 if digits.startswith("-") else 1
    digits = digits.lstrip("+-")
    for prefix, base in (("0b", 2), ("0x", 16), ("0o", 8)):
        if digits.startswith(prefix):
            return sign * int(digits[2:] or "0", base)
    return sign * int(digits, 8 if len(digits) > 1 and digits.startswith("0") else 10)


@dataclass(frozen=True, slots=True)
class _Reader:
    file: str
    origin: Mark

    def mark(self, yaml_mark: object) -> Mark:
        line = getattr(yaml_mark, "line", 0)
        column = getattr(yaml_mark, "column", 0)
        return Mark(self.file, self.origin.line + line, self.origin.column + column)

    def problem(self, error: MarkedYAMLError) -> SyntaxProblem:
        what = _first_line(error.problem or error.context or str(error))
        hint = ""
        if "\\t" in what or "'\t'" in what:
            what, hint = "a tab stands where YAML wants spaces", "indent with spaces"
        where = error.problem_mark or error.context_mark
        return SyntaxProblem(what, self.mark(where), hint)

    def node(self, node: YamlNode, above: tuple[int, ...]) -> Node:
        if id(node) in above:
            raise SyntaxProblem("an anchor refers to itself", self.mark(node.start_mark))
        above = (*above, id(node))
        mark = self.mark(node.start_mark)
        if isinstance(node, MappingNode):
            entries = tuple(self._entry(key, value, above) for key, value in node.value)
            return Mapping(mark, entries)
        if isinstance(node, SequenceNode):
            return Sequence(mark, tuple(self.node(item, above) for item in node.value))
        return self._scalar(node, mark)

    def _entry(self, key: YamlNode, value: YamlNode, above: tuple[int, ...]) -> Entry:
        mark = self.mark(key.start_mark)
        if not isinstance(key, ScalarNode):
            raise SyntaxProblem("a key must be a word, not a list or a map", mark)
        return Entry(str(key.value), mark, self.node(value, above))

    def _scalar(self, node: YamlNode, mark: Mark) -> Scalar:
        text = str(node.value)
        style = getattr(node, "style", None)
        if style in ("'", '"', "|", ">"):
            return Scalar(mark, text, text, block=style == "|")
        return Scalar(mark, _resolve(text), text)
