"""From the parser's events to trees: aliases and merge keys resolved, depth and size bounded.

What the parser itself gets wrong is set right here: tabs between tokens, which libyaml (and so Go)
takes, and faults of its own, which must never reach a person as a traceback.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml import events as ev
from ruamel.yaml.error import MarkedYAMLError
from ruamel.yaml.reader import ReaderError
from ruamel.yaml.scanner import Scanner

from rota.config.findings import Mark
from rota.config.scalars import key_text, resolve, resolve_tagged, shorten
from rota.config.tree import Entry, Mapping, Node, Scalar, Sequence
from rota.errors import RotaError

MAX_DEPTH = 100
"""Lists and maps inside one another. No config or manifest is a tenth as deep."""

MAX_NODES = 100_000
"""Nodes after aliases are spread out, beyond which a text must not be larger than it is written."""


class SyntaxProblem(RotaError):
    """The text is no YAML. `mark` is where the parser gave up."""

    def __init__(self, what: str, mark: Mark, hint: str = "") -> None:
        super().__init__(what, where=str(mark), hint=hint)
        self.mark = mark


class Composer:
    """Reads the documents of one text, one after the other."""

    def __init__(self, text: str, file: str, origin: Mark | None) -> None:
        self._text = text
        self._lines: list[str] | None = None
        self._origin = origin or Mark(file, 1, 1)
        self._file = file
        self._here = Mark(file, self._origin.line, self._origin.column)
        self._events: Iterator[Any] = _yaml().parse(text)
        self._anchors: dict[str, Node] = {}
        self._open: set[str] = set()
        self._written = 0
        self._sizes: dict[int, int] = {}

    def documents(self) -> Iterator[Node]:
        """Each document as it is reached.

        Raises:
            SyntaxProblem: the text is no YAML from here on, or breaks a bound.
        """
        while (event := self._next()) is not None:
            if not isinstance(event, ev.DocumentStartEvent):
                continue
            self._anchors, self._open, self._written, self._sizes = {}, set(), 0, {}
            root = self._node(self._take(), 0)
            if self._sizes[id(root)] > max(MAX_NODES, 2 * self._written):
                raise self._problem("its aliases make too much of it", root.mark)
            yield root

    def _next(self) -> Any:
        try:
            event = next(self._events, None)
        except MarkedYAMLError as error:
            raise self._marked(error) from None
        except ReaderError as error:
            raise self._unreadable(error) from None
        except Exception as error:  # a fault of the parser; a text must never bring us down
            what = f"the parser cannot read on from here: {shorten(str(error))}"
            raise self._problem(what, self._here) from None
        if event is not None:
            self._here = self._mark(event.start_mark)
        return event

    def _take(self) -> Any:
        event = self._next()
        if event is None:
            raise self._problem("the text ends too early", self._here)
        return event

    def _node(self, event: Any, depth: int) -> Node:
        self._written += 1
        if isinstance(event, ev.AliasEvent):
            return self._alias(event.anchor)
        if depth > MAX_DEPTH:
            raise self._problem(f"nested too deeply, more than {MAX_DEPTH} levels", self._here)
        if event.anchor:
            self._open.add(event.anchor)
        node = self._fresh(event, depth)
        if event.anchor:
            self._open.discard(event.anchor)
            self._anchors[event.anchor] = node
        return node

    def _alias(self, anchor: str) -> Node:
        if anchor in self._open:
            raise self._problem(f"the anchor `{shorten(anchor)}` refers to itself", self._here)
        node = self._anchors.get(anchor)
        if node is None:
            raise self._problem(f"there is no anchor `{shorten(anchor)}` above", self._here)
        return node

    def _fresh(self, event: Any, depth: int) -> Node:
        node: Node
        if isinstance(event, ev.MappingStartEvent):
            node = self._mapping(depth)
            size = 1 + sum(self._sizes[id(entry.value)] for entry in node.entries)
        elif isinstance(event, ev.SequenceStartEvent):
            node = self._sequence(depth)
            size = 1 + sum(self._sizes[id(item)] for item in node.items)
        else:
            node, size = self._scalar(event), 1
        self._sizes[id(node)] = size
        return node

    def _sequence(self, depth: int) -> Sequence:
        mark, items = self._here, []
        while not isinstance(event := self._take(), ev.SequenceEndEvent):
            items.append(self._node(event, depth + 1))
        return Sequence(mark, tuple(items))

    def _mapping(self, depth: int) -> Mapping:
        mark = self._here
        entries: list[Entry] = []
        while not isinstance(event := self._take(), ev.MappingEndEvent):
            key_mark = self._here
            merge = _is_merge(event)
            key = self._node(event, depth + 1)
            value = self._node(self._take(), depth + 1)
            if not merge:
                entries.append(Entry(self._key(key, key_mark), key_mark, value))
                continue
            for entry in self._merged(value, key_mark):
                entries.append(entry)
                if len(entries) > max(MAX_NODES, 2 * self._written):
                    raise self._problem("its merge keys make too much of it", mark)
        return Mapping(mark, tuple(entries))

    def _key(self, key: Node, mark: Mark) -> str:
        text = key_text(key.value) if isinstance(key, Scalar) else None
        if text is None:
            raise self._problem("a key must be a word, not a list, a map or nothing", mark)
        return text

    def _merged(self, value: Node, mark: Mark) -> Iterator[Entry]:
        parts = reversed(value.items) if isinstance(value, Sequence) else (value,)
        for part in parts:
            if not isinstance(part, Mapping):
                raise self._problem("`<<` wants a map, or a list of maps", mark)
            for entry in part.entries:
                yield Entry(entry.key, entry.mark, entry.value, merged=True)

    def _scalar(self, event: Any) -> Scalar:
        mark, text = self._here, _whole(event.value)
        block = event.style == "|"
        body = self._body(event.start_mark.line) if block else None
        tag = str(event.ctag) if event.ctag else ""
        try:
            value = _value(text, tag, event)
        except ValueError as error:
            raise self._problem(str(error), mark) from None
        return Scalar(mark, value, text, block, body)

    def _body(self, line: int) -> Mark:
        """The place of a literal's first character: under its header, at the indent of its lines."""
        if self._lines is None:
            self._lines = re.split("\r\n|[\n\r\x85\u2028\u2029]", self._text)
        lines = self._lines
        while line < len(lines) - 1 and not _HEADER.search(lines[line]):
            line += 1
        header = _HEADER.search(lines[line])
        first = next((row for row in lines[line + 1 :] if row.strip(" ")), "")
        indent = len(first) - len(first.lstrip(" "))
        digit = re.search("[1-9]", header[1]) if header else None
        if digit:
            indent = self._parent_indent(line) + int(digit[0])
        return Mark(self._file, self._origin.line + line + 1, self._origin.column + indent)

    def _parent_indent(self, line: int) -> int:
        row = (self._lines or [""])[line]
        match = re.match(r" *(- +)*", row)
        dashes = match[0] if match else ""
        return len(dashes) if len(dashes) < len(row.rstrip()) and ":" in row else row.find("-")

    def _mark(self, yaml_mark: Any) -> Mark:
        line, column = getattr(yaml_mark, "line", 0), getattr(yaml_mark, "column", 0)
        return Mark(self._file, self._origin.line + line, self._origin.column + column)

    def _problem(self, what: str, mark: Mark, hint: str = "") -> SyntaxProblem:
        return SyntaxProblem(what, mark, hint)

    def _marked(self, error: MarkedYAMLError) -> SyntaxProblem:
        what = shorten(str(error.problem or error.context or error), 120)
        words = next((better for part, *better in _WORDS if part in what), [what, ""])
        what, hint = words[0] or what, words[1]
        return self._problem(what, self._mark(error.problem_mark or error.context_mark), hint)

    def _unreadable(self, error: ReaderError) -> SyntaxProblem:
        before = self._text[: int(error.position)]
        line = before.count("\n")
        mark = Mark("", line, len(before) - before.rfind("\n") - 1)
        what = f"the character U+{ord(self._text[len(before)]):04X} cannot stand in YAML"
        place = Mark(self._file, self._origin.line + line, self._origin.column + mark.column)
        return self._problem(what, place, "remove it")


_WORDS = (
    ("\\t", "a tab stands where YAML wants spaces", "indent with spaces"),
    ("that cannot start any token", "", "put the value in quotes"),
    (
        "mapping values are not allowed",
        "a `:` does not belong here",
        "is a `:` missing above, the indent wrong, or must a value be quoted?",
    ),
    ("unexpected end of stream", "the text ends inside quotes", "close the quotes"),
    ("<stream end>", "the text ends inside brackets", "close the `[` or `{`"),
    (
        "<document start>",
        "the text goes on where it should end",
        "is a `:` missing above, or the indent wrong?",
    ),
    (
        "<block end>",
        "this is neither the next item nor the end of the block that it stands in",
        "is the indent as in the lines above?",
    ),
)
"""Part of the parser's message → better words (none: its own), and a hint."""

_BREAKS = ("\n", "\r", "\x85", "\u2028", "\u2029")
_HEADER = re.compile(r"\|([-+0-9]*)[ \t]*(?:#.*)?$")


class _TabScanner(Scanner):
    """Takes a tab where libyaml does: between tokens, but for the indent, and between words."""

    def scan_to_next_token(self) -> None:
        super().scan_to_next_token()
        while not self.allow_simple_key and self.reader.peek() == "\t":
            while self.reader.peek() == "\t":
                self.reader.forward()
            super().scan_to_next_token()

    def scan_plain_spaces(self, indent: Any, start_mark: Any) -> Any:
        length = 0
        while self.reader.peek(length) in (" ", "\t"):
            length += 1
        blanks = self.reader.prefix(length)
        if "\t" not in blanks:
            return super().scan_plain_spaces(indent, start_mark)
        self.reader.forward(length)
        if self.reader.peek() in _BREAKS:
            return super().scan_plain_spaces(indent, start_mark)
        return [blanks]


def _yaml() -> YAML:
    yaml = YAML(typ="safe", pure=True)
    yaml.version = (1, 1)
    yaml.Scanner = _TabScanner
    return yaml


def _is_merge(event: Any) -> bool:
    return isinstance(event, ev.ScalarEvent) and event.value == "<<" and bool(event.implicit[0])


def _value(text: str, tag: str, event: Any) -> None | bool | int | float | str:
    if tag and tag != "!":
        return resolve_tagged(text, tag)
    return text if event.style or tag else resolve(text)


def _whole(text: str) -> str:
    r"""Join surrogate pairs, which JSON writes as two `\u` escapes; a lone half is no character."""
    if text.isascii() or not any("\ud800" <= char <= "\udfff" for char in text):
        return text
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
