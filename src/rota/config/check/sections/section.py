"""What a rule says about itself when somebody asks."""

from __future__ import annotations

from dataclasses import dataclass
from textwrap import dedent, fill, indent

from rota.config.findings import Level


@dataclass(frozen=True, slots=True)
class Section:
    """The explanation of one rule.

    Attributes:
        id: the rule's name in findings.
        level: what it counts as, unless a case is milder.
        title: one line without a full stop.
        why: what happens on a node or in a cluster that makes it worth saying.
        wrong: an example that the rule catches.
        right: the same, as it should be.
    """

    id: str
    level: Level
    title: str
    why: str
    wrong: str
    right: str

    def text(self) -> str:
        """For a terminal."""
        wrong, right = (indent(_block(e), "    ") for e in (self.wrong, self.right))
        head = f"{self.id} ({self.level})\n{self.title}."
        return f"{head}\n\n{fill(_block(self.why), 79)}\n\nWrong:\n\n{wrong}\n\nRight:\n\n{right}"

    def markdown(self) -> str:
        """For the reference."""
        head = f"## {self.id}\n\n**{self.level}**: {self.title}.\n\n{_block(self.why)}"
        return f"{head}\n\nWrong:\n\n{_fenced(self.wrong)}\n\nRight:\n\n{_fenced(self.right)}"


def _block(text: str) -> str:
    return dedent(text).strip("\n").rstrip()


def _fenced(example: str) -> str:
    block = _block(example)
    return f"```{'sh' if block.startswith(('kubectl', 'kustomize', 'rota ')) else 'yaml'}\n{block}\n```"
