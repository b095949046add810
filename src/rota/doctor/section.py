"""What a rule of `rota doctor` says about itself when somebody asks."""

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
        why: what happens on the node that makes it worth saying; its first sentence is shown with
            each finding.
        seen: what somebody sees who has it.
        do: what to type.
    """

    id: str
    level: Level
    title: str
    why: str
    seen: str
    do: str

    @property
    def reason(self) -> str:
        """The first sentence of `why`."""
        text = " ".join(_block(self.why).split())
        return text.partition(". ")[0].rstrip(".")

    def text(self) -> str:
        """For a terminal."""
        seen, do = (indent(_block(part), "    ") for part in (self.seen, self.do))
        head = f"{self.id} ({self.level})\n{self.title}."
        return f"{head}\n\n{fill(_block(self.why), 79)}\n\nSeen:\n\n{seen}\n\nDo:\n\n{do}"

    def markdown(self) -> str:
        """For the reference."""
        head = f"## {self.id}\n\n**{self.level}**: {self.title}.\n\n{_block(self.why)}"
        seen, do = _block(self.seen), _block(self.do)
        return f"{head}\n\nSeen:\n\n```text\n{seen}\n```\n\nDo:\n\n```sh\n{do}\n```"


def _block(text: str) -> str:
    return dedent(text).strip("\n").rstrip()
