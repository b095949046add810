"""What is said about a text that a person wrote: a level, a place, a sentence, a way out."""

from __future__ import annotations

import enum
from dataclasses import dataclass


class Level(enum.StrEnum):
    """How bad it is. Only an error keeps a config from being served."""

    ERROR = "error"
    WARNING = "warning"
    NOTE = "note"


@dataclass(frozen=True, slots=True, order=True)
class Mark:
    """A place in a text. Line and column count from 1; 0 means the file as a whole."""

    file: str = ""
    line: int = 0
    column: int = 0

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}" if self.line else self.file


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing said about one place.

    Attributes:
        id: the rule's name, such as `unknown-key`; `rota check --explain ID` tells more.
        level: error, warning or note.
        mark: where.
        message: what is wrong, one sentence without a full stop.
        hint: what to do; empty where the message says it all.
    """

    id: str
    level: Level
    mark: Mark
    message: str
    hint: str = ""

    def __str__(self) -> str:
        hint = f" ({self.hint})" if self.hint else ""
        return f"{self.mark}: {self.level}: {self.message}{hint} [{self.id}]"
