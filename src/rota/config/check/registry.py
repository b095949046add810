"""Every rule's id, its level and the section that explains it; and the rules to run.

A finding can only be made through an id that has a section, so nothing is ever said that
`rota check --explain` cannot explain.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from rota.config.check import sections
from rota.config.check.sections.section import Section
from rota.config.findings import Finding, Level, Mark

if TYPE_CHECKING:
    from rota.config.check.world import World

Rule: TypeAlias = "Callable[[World], Iterator[Finding]]"

SECTIONS: Mapping[str, Section] = {s.id: s for s in sorted(sections.ALL, key=lambda s: s.id)}
"""Id → section, by id."""


@dataclass(frozen=True, slots=True)
class Theme:
    """Rules that belong together.

    Attributes:
        name: what they are about.
        rules: each looks at everything that was read.
    """

    name: str
    rules: tuple[Rule, ...]


def found(
    rule: str, mark: Mark, message: str, hint: str = "", *, level: Level | None = None
) -> Finding:
    """A finding of one rule, at the level of its section unless another is given.

    Raises:
        KeyError: no section explains this rule, which a test keeps from happening.
    """
    return Finding(rule, level or SECTIONS[rule].level, mark, message, hint)


def explain(rule: str) -> str | None:
    """The section of a rule as text for a terminal; None where there is no such rule."""
    section = SECTIONS.get(rule)
    return section.text() if section else None


def reference() -> str:
    """`docs/reference/check.md`."""
    lines = [
        "# What `rota check` looks for",
        "",
        "Made from the rules themselves by `python -m rota.config.check`; do not edit.",
        "An **error** keeps a set-up from working, a **warning** is served but hardly meant so,",
        "a **note** is worth knowing. `rota check --explain ID` prints a section in the terminal.",
        "",
        "| id | level | what |",
        "| --- | --- | --- |",
        *(f"| [{s.id}](#{s.id}) | {s.level} | {s.title} |" for s in SECTIONS.values()),
    ]
    return "\n".join(lines) + "\n\n" + "\n\n".join(s.markdown() for s in SECTIONS.values()) + "\n"
