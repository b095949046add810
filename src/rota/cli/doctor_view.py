"""A diagnosis as lines for people: what is seen, why it matters, what to type."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator
from itertools import groupby

from rich.text import Text

from rota.config.findings import Finding, Level
from rota.doctor.look import Diagnosis
from rota.doctor.registry import why

EACH = 5
"""Findings of one rule that are shown; the others are counted."""

STYLES = {Level.ERROR: "bold red", Level.WARNING: "bold yellow", Level.NOTE: "bold cyan"}

_INDENT = 9
_NARROWEST = 40
_COMMAND = re.compile(r"(?:; then|:) (?=kubectl )")
"""What parts what to do from a command to type, which has a line of its own."""


def shown(diagnosis: Diagnosis, width: int) -> Iterator[Text]:
    """All of it, wrapped at `width`; commands are never wrapped."""
    for rule, group in groupby(diagnosis.findings, key=lambda finding: finding.id):
        findings = list(group)
        for finding in findings[:EACH]:
            yield from _finding(finding, width)
        if len(findings) > EACH:
            more = f"… and {len(findings) - EACH} more of {rule}; -o json lists them"
            yield Text(" " * _INDENT + more, "dim")
        yield Text()
    yield _closing(diagnosis)


def _finding(finding: Finding, width: int) -> Iterator[Text]:
    head = Text.assemble(
        (f"{finding.level:<{_INDENT}}", STYLES[finding.level]),
        (finding.mark.file, "bold"),
        (f"  [{finding.id}]", "dim"),
    )
    yield head
    yield from _wrapped("", finding.message, width, "")
    yield from _wrapped("why  ", why(finding.id), width, "dim")
    for number, part in enumerate(_COMMAND.split(finding.hint) if finding.hint else ()):
        label = "do   " if number == 0 else "     "
        yield Text.assemble((" " * _INDENT + label, "dim"), (_clean(part), "green"))


def _wrapped(head: str, text: str, width: int, style: str) -> Iterator[Text]:
    room = max(_NARROWEST, width - _INDENT - len(head))
    for number, row in enumerate(textwrap.wrap(_clean(text), room, break_long_words=False)):
        before = head if number == 0 else " " * len(head)
        yield Text.assemble((" " * _INDENT + before, "dim"), (row, style))


def _closing(diagnosis: Diagnosis) -> Text:
    def many(count: int, word: str) -> str:
        return f"{count} {word}{'' if count == 1 else 's'}"

    looked = (
        f"{many(diagnosis.nodes, 'GPU node')}, {many(diagnosis.plugins, 'plugin')} and "
        f"{many(diagnosis.pods, 'pod')} with GPUs looked at"
    )
    parts = [many(n, level) for level in Level if (n := diagnosis.count(level))]
    if not parts:
        return Text(f"{looked}: nothing to object to.", "bold green")
    gravest = diagnosis.findings[0].id
    return Text(f"{', '.join(parts)}; {looked}. More about one: rota doctor --explain {gravest}")


def _clean(text: str) -> str:
    """Without what could move a terminal's cursor: some of it comes from the cluster."""
    return "".join(char if char.isprintable() else " " for char in text)
