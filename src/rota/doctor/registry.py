"""Every rule's id and section; a finding can only be made through an id that has one."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TypeAlias

from rota.config.check.registry import SECTIONS as CHECKED
from rota.config.findings import Finding, Level, Mark
from rota.doctor import sections
from rota.doctor.section import Section
from rota.doctor.world import World

Rule: TypeAlias = Callable[[World], Iterator[Finding]]

SECTIONS: Mapping[str, Section] = {s.id: s for s in sorted(sections.ALL, key=lambda s: s.id)}
"""Id → section, by id; those of `rota check` are not among them."""


def found(
    rule: str, about: str, message: str, hint: str = "", *, level: Level | None = None
) -> Finding:
    """A finding of one rule about an object, at the level of its section unless another is given.

    Raises:
        KeyError: no section explains this rule, which a test keeps from happening.
    """
    return Finding(rule, level or SECTIONS[rule].level, Mark(about), message, hint)


def why(rule: str) -> str:
    """In one sentence, why a finding of this rule is worth saying; of `rota check`'s rules too."""
    if rule in SECTIONS:
        return SECTIONS[rule].reason
    section = CHECKED.get(rule)
    return " ".join(section.why.split()).partition(". ")[0].rstrip(".") if section else ""


def explain(rule: str) -> str | None:
    """The section of a rule as text for a terminal; None where there is no such rule."""
    section = SECTIONS.get(rule) or CHECKED.get(rule)
    return section.text() if section else None


def reference() -> str:
    """`docs/reference/doctor.md`."""
    lines = [
        "# What `rota doctor` looks for",
        "",
        "Made from the rules themselves by `python -m rota.doctor`; do not edit. Besides these, the",
        "rules of [`rota check`](check.md) are run over the cluster's ConfigMaps, policies, quotas and",
        "pods. An **error** keeps GPUs from being served or pods from running, a **warning** is hardly",
        "meant so, a **note** is worth knowing. `rota doctor --explain ID` prints a section.",
        "",
        "| id | level | what |",
        "| --- | --- | --- |",
        *(f"| [{s.id}](#{s.id}) | {s.level} | {s.title} |" for s in SECTIONS.values()),
    ]
    return "\n".join(lines) + "\n\n" + "\n\n".join(s.markdown() for s in SECTIONS.values()) + "\n"
