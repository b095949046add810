"""From paths to a verdict: read everything, run every rule, and say what was understood."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import BinaryIO

from rota.config.check.reading import Reading
from rota.config.check.rules import THEMES
from rota.config.check.understood import sentences
from rota.config.check.world import World
from rota.config.findings import Finding, Level


@dataclass(frozen=True, slots=True)
class Report:
    """What `rota check` says.

    Attributes:
        findings: by file, in the order of each file's text.
        understood: what the set-up comes to, in sentences.
        files: how many were read.
        texts: file → text, to show the lines that findings speak of.
    """

    findings: tuple[Finding, ...]
    understood: tuple[str, ...]
    files: int
    texts: dict[str, str] = field(default_factory=dict)

    def count(self, level: Level) -> int:
        """How many findings have this level."""
        return Counter(finding.level for finding in self.findings)[level]

    def exit_code(self, *, strict: bool = False) -> int:
        """0 where nothing is wrong, 1 at an error; with `strict`, at a warning too."""
        bad = self.count(Level.ERROR) + (self.count(Level.WARNING) if strict else 0)
        return 1 if bad else 0

    def plain(self) -> dict[str, list[dict[str, str | int]]]:
        """For machines."""
        return {
            "findings": [
                {
                    "id": finding.id,
                    "level": str(finding.level),
                    "file": finding.mark.file,
                    "line": finding.mark.line,
                    "column": finding.mark.column,
                    "message": finding.message,
                    "hint": finding.hint,
                }
                for finding in self.findings
            ]
        }


def check(paths: Iterable[str], stdin: BinaryIO) -> Report:
    """Read what is named, and judge it together.

    Args:
        paths: files, folders, and `-` for standard input.
        stdin: standard input.

    Raises:
        UsageError: something named is not there or cannot be read.
    """
    reading = Reading()
    for path in paths:
        reading.path(path, stdin)
    return judge(reading.world())


def judge(world: World) -> Report:
    """Run every rule over what was read."""
    said = [*world.findings]
    for theme in THEMES:
        for rule in theme.rules:
            said.extend(rule(world))
    findings = tuple(sorted(dict.fromkeys(said), key=_place))
    return Report(findings, tuple(sentences(world)), len(world.texts), world.texts)


def _place(finding: Finding) -> tuple[str, int, int, str]:
    return finding.mark.file, finding.mark.line, finding.mark.column, finding.id
