"""A report as lines for people, as compilers print them, each part with its style."""

from __future__ import annotations

from typing import TypeAlias

from rota.config.check.judge import Report
from rota.config.findings import Finding, Level

Line: TypeAlias = "list[tuple[str, str]]"
"""Parts of one line: text, and a style as rich names it."""

STYLES = {Level.ERROR: "bold red", Level.WARNING: "bold yellow", Level.NOTE: "bold cyan"}
HINT = "      = "
"""What a line with a hint begins with."""

TICK = "✓ "
"""What a line with good news begins with."""

ARROW = "→ "
"""What such a line begins with where there are warnings: this is what it comes to all the same."""

_GUTTER = 6
_WIDEST = 72


def shown(report: Report, *, strict: bool = False) -> list[Line]:
    """The whole report.

    Args:
        report: what was found.
        strict: warnings count as errors.
    """
    lines: list[Line] = []
    for finding in report.findings:
        lines.extend([*_finding(finding, report.texts), []])
    if report.exit_code(strict=strict) == 0:
        warned = report.count(Level.WARNING) > 0
        mark = (ARROW, "bold yellow") if warned else (TICK, "bold green")
        lines.extend([mark, (sentence, "")] for sentence in report.understood)
    return [[(_clean(text), style) for text, style in line] for line in lines + _closing(report)]


def _finding(finding: Finding, texts: dict[str, str]) -> list[Line]:
    head: Line = [
        (f"{finding.mark}: ", "bold"),
        (f"{finding.level}: ", STYLES[finding.level]),
        (finding.message, ""),
        (f" [{finding.id}]", "dim"),
    ]
    excerpt = _excerpt(finding, texts.get(finding.mark.file, ""))
    hint: list[Line] = [[(HINT, "dim"), (finding.hint, "green")]]
    return [head, *excerpt, *(hint if finding.hint else [])]


def _excerpt(finding: Finding, text: str) -> list[Line]:
    """The line that a finding speaks of, with a mark under the word."""
    rows = text.split("\n", finding.mark.line) if finding.mark.line else []
    row = rows[finding.mark.line - 1] if len(rows) >= finding.mark.line > 0 else ""
    row = _clean(row.rstrip())
    start = finding.mark.column - 1
    if not row.strip() or start >= len(row):
        return []
    length = len(_word(row[start:]))
    if len(row) > _WIDEST:
        first = max(0, min(start - 8, len(row) - _WIDEST))
        row, start = row[first : first + _WIDEST], start - first
    under = "^" * max(1, min(length, len(row) - start))
    number = f"{finding.mark.line:>{_GUTTER - 1}} | "
    blank = " " * _GUTTER + "| "
    style = STYLES[finding.level]
    return [[(number, "dim"), (row, "")], [(blank, "dim"), (" " * start + under, style)]]


def _clean(text: str) -> str:
    """Without what could move a terminal's cursor or cannot be written."""
    return text if text.isprintable() else "".join(c if c.isprintable() else " " for c in text)


def _word(rest: str) -> str:
    """What stands at a place: a quoted string, or all up to a space, comma or colon."""
    if rest[0] in "'\"" and rest[0] in rest[1:]:
        return rest[: rest.index(rest[0], 1) + 1]
    ends = [rest.find(mark) for mark in (" ", ",", ": ", "}", "]")]
    end = min((end for end in ends if end > 0), default=len(rest))
    return rest[:end].removesuffix(":")


def _closing(report: Report) -> list[Line]:
    files = f"{report.files} file{'s' if report.files != 1 else ''}"
    parts: Line = []
    for level in Level:
        number = report.count(level)
        if number:
            word = f"{number} {level}{'s' if number != 1 else ''}"
            parts.extend([(", ", ""), (word, STYLES[level])])
    if not parts:
        return [[(f"{files} read, nothing to object to.", "bold green")]]
    more: Line = [(f"More about one: rota check --explain {_gravest(report).id}", "dim")]
    return [[*parts[1:], (f" in {files}.", "")], more]


def _gravest(report: Report) -> Finding:
    order = list(Level)
    return min(report.findings, key=lambda finding: order.index(finding.level))
