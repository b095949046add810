"""Which processes are in host memory, or on their way, for whoever comes after us.

The driver's lists do not name a process that is paged out, so this is the truth about it. One file
for each process, named `<pid>-<start time>` as in the journal of closed gates, and put in its place
whole: written before a step begins, again when it has ended, and removed when the process is
resident again. The agent reads it, too: such a process remains its client's.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path

from rota.gatekeeper.journal import JournalError, Process, ProcessFolder
from rota.gpu.processes import started

SLOWEST = 1.0 * 2**30
"""Bytes a second that a step moves at least: half of what an H100 did on its way out."""

SETTLING = 2.0
"""Seconds besides, before a step of somebody who died is taken to have ended without effect."""


@dataclass(frozen=True, slots=True)
class Note:
    """What is noted of one process.

    Attributes:
        client: whose it is.
        memory: GPU → bytes that it used, and needs to come back.
        step: `out` or `in` while it is on its way, empty once it is out.
        paused: it stays out until somebody lets it come back by hand.
        seconds: how long its page-out took.
        at: when this was written, in seconds since 1970.
    """

    client: str
    memory: Mapping[str, int] = field(default_factory=dict)
    step: str = ""
    paused: bool = False
    seconds: float = 0.0
    at: float = 0.0

    @property
    def size(self) -> int:
        """Its memory on all GPUs, in bytes."""
        return sum(self.memory.values())

    def is_overdue(self, now: float) -> bool:
        """A step that was under way when this was written must have ended by now."""
        return not 0 <= now - self.at < SETTLING + self.size / SLOWEST


class PagedJournal:
    """The paged processes of one node, in the folder `paged` of the runtime folder."""

    def __init__(self, runtime: Path) -> None:
        hint = "make room there; until then nobody is paged out or in"
        self._folder = ProcessFolder(runtime / "paged", "what is paged out cannot be noted", hint)

    def note(self, process: Process, note: Note) -> None:
        """Say where a process is, or where it is about to go.

        Raises:
            JournalError: it cannot be written: the step must not be taken.
        """
        new = self._folder.path(process, ".")
        try:
            new.write_text(json.dumps(asdict(note)))
            new.replace(self._folder.path(process))
        except FileNotFoundError:
            self._folder.make()
            self.note(process, note)
        except OSError as error:
            raise self._folder.error(error) from error

    def erase(self, process: Process) -> None:
        """It is resident, or no more. Twice is once."""
        self._folder.erase(process)

    def read(self) -> dict[Process, Note]:
        """All that is noted. A note that nobody can read says that the process may be out."""
        return {process: self._read(process) for process in self._folder.processes()}

    def pids(self, gpu: str) -> tuple[int, ...]:
        """The processes that have memory of that GPU in host memory, or on its way."""
        with suppress(JournalError):
            return tuple(
                process.pid
                for process, note in self.read().items()
                if gpu in note.memory and started(process.pid) == process.started
            )
        return ()

    def _read(self, process: Process) -> Note:
        try:
            raw = json.loads(self._folder.path(process).read_text())
            memory = {str(gpu): int(size) for gpu, size in raw["memory"].items()}
            return Note(
                str(raw["client"]), memory, str(raw["step"]), bool(raw["paused"]),
                float(raw["seconds"]), float(raw["at"]),
            )  # fmt: skip
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return Note("")
