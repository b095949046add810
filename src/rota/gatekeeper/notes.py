"""The journal of paged processes as the loop has it: in mind, and on disk before anything is done."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Any

from rota.gatekeeper.journal import JournalError, Process
from rota.gatekeeper.paged import Note, PagedJournal
from rota.gatekeeper.rescue import LOST
from rota.gpu.processes import started


class Notes:
    """What is noted of each process that is out, or on its way.

    Args:
        journal: where it is written.
        wall: seconds since 1970.
    """

    def __init__(self, journal: PagedJournal, wall: Callable[[], float] = time.time) -> None:
        self._journal, self._wall = journal, wall
        self._notes: dict[Process, Note] = journal.read()

    def __bool__(self) -> bool:
        return bool(self._notes)

    def get(self, process: Process) -> Note | None:
        """What is noted of a process."""
        return self._notes.get(process)

    def of(self, client: str) -> list[Note]:
        """What is noted of a client's processes."""
        return [note for note in self._notes.values() if note.client == client]

    def memory(self, client: str) -> dict[str, int]:
        """GPU → the bytes that a client has in host memory."""
        found: dict[str, int] = {}
        for note in self.of(client):
            for gpu, size in note.memory.items():
                found[gpu] = found.get(gpu, 0) + size
        return found

    def gpus(self) -> dict[str, int]:
        """GPU → the bytes of it that are in host memory."""
        found: dict[str, int] = {}
        for note in self._notes.values():
            for gpu, size in note.memory.items():
                found[gpu] = found.get(gpu, 0) + size
        return found

    @property
    def any_out(self) -> bool:
        """Some process is not on the GPU, and could come back."""
        return any(note.step != LOST for note in self._notes.values())

    @property
    def paused(self) -> set[str]:
        """The clients that stay out until somebody lets them come back."""
        return {note.client for note in self._notes.values() if note.paused}

    def adopt(self, process: Process) -> Note | None:
        """What is noted of a process that appears; it may have been put right meanwhile."""
        if process not in self._notes:
            return None
        note = self._journal.read().get(process)
        if note is None:
            del self._notes[process]
        else:
            self._notes[process] = note
        return note

    def begin(self, process: Process, client: str, memory: Mapping[str, int], paused: bool) -> None:
        """A process is about to go.

        Raises:
            JournalError: that cannot be written: it must not go.
        """
        note = Note(client, memory, "out", paused, 0.0, self._wall())
        self._journal.note(process, note)
        self._notes[process] = note

    def change(self, process: Process, **changes: Any) -> bool:
        """Put a note right; False where it cannot be written: the old one still says enough."""
        note = self._notes.get(process)
        if note is None:
            return True
        self._notes[process] = note = replace(note, at=self._wall(), **changes)
        try:
            self._journal.note(process, note)
        except JournalError:
            return False
        return True

    def erase(self, process: Process) -> None:
        """It is resident, or no more."""
        if self._notes.pop(process, None):
            with suppress(JournalError):  # who comes next asks the driver
                self._journal.erase(process)

    def sweep(self, known: Collection[Process]) -> None:
        """Forget those that nobody knows and that have ended."""
        for process in [process for process in self._notes if process not in known]:
            if started(process.pid) != process.started:
                self.erase(process)
