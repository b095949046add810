"""Open what the journal names: the first thing that whoever starts does, and the last.

Nothing else is touched. A stopped program cannot be opened now; its gate stays in the journal and
is tried again. A process that is paged out has no gate to open: the driver is asked where it is,
and the note of it is put right. While one may still be on its way back, nobody else is let in, since
a restore that meets too little memory loses its process.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection
from contextlib import suppress
from dataclasses import replace

from rota.gatekeeper.journal import Journal, JournalError, Process
from rota.gatekeeper.lanes import Call, Done, Lanes
from rota.gatekeeper.paged import Note, PagedJournal
from rota.gatekeeper.stat import stopped
from rota.gpu.doors import GateDoor, GateGone, GateIllegal, GateNoContext, GateState

LOST = "lost"
"""The step of a note: the driver lost the process."""

AGAIN = 0.25
"""Seconds between two questions where a process is."""


class Rescue:
    """Opens gates of a journal, in parallel. Safe to use from one thread at a time.

    Args:
        journal: of closed gates.
        gates: the door.
        paged: of processes in host memory; None where nobody is paged out.
        wall: seconds since 1970.
    """

    def __init__(
        self,
        journal: Journal,
        gates: GateDoor,
        paged: PagedJournal | None = None,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._journal, self._paged, self._wall = journal, paged, wall
        self._came_back = threading.Event()
        self._lanes = Lanes(gates, self._came_back.set)
        self._under_way: set[Process] = set()
        self._out: dict[Process, Note] = {}
        self._again: dict[Process, float] = {}

    def run(self, timeout: float = 1.5, without: Collection[Process] = ()) -> list[Process]:
        """Open all that can be opened within `timeout` seconds; return what is left.

        What is left is stopped, or its driver hangs, or it may be on its way between GPU and host:
        it is looked after by a later call, and named by a journal until somebody has seen that.
        """
        deadline = time.monotonic() + timeout
        self._begin_all(without)
        while self._running() and time.monotonic() < deadline:
            self._came_back.clear()
            self._collect()
            self._begin_all(without)
            if self._running():
                self._came_back.wait(min(0.05, max(0.0, deadline - time.monotonic())))
        self._collect()
        notes = self._notes()
        named = {*self._journal.read(), *notes}
        done = {process for process, note in notes.items() if self._is_out(process, note)}
        return sorted(process for process in named - done if process not in without)

    def _begin_all(self, without: Collection[Process]) -> None:
        notes = self._notes()
        unknown = [
            process
            for process, note in notes.items()
            if process not in without and not self._is_out(process, note)
        ]
        for process in unknown:
            if time.monotonic() >= self._again.get(process, 0.0):
                self._begin(process, Call.STATE)
        if any(self._may_come_back(notes[process]) for process in unknown):
            return
        for process in self._journal.read():
            if process not in without and process not in notes:
                self._begin(process, Call.OPEN)

    def _begin(self, process: Process, call: Call) -> None:
        if process not in self._under_way:
            self._under_way.add(process)
            self._lanes.submit(process, call)

    def _is_out(self, process: Process, note: Note) -> bool:
        """The driver has said of this very note that it is right."""
        return self._out.get(process) == note

    def _may_come_back(self, note: Note) -> bool:
        return note.step == "in" and not note.is_overdue(self._wall())

    def _running(self) -> bool:
        """Something is worth waiting for."""
        return any(not stopped(process.pid) for process in self._under_way)

    def _collect(self) -> None:
        for done in self._lanes.done():
            self._under_way.discard(done.process)
            self._lanes.forget(done.process)
            if done.call is Call.STATE:
                self._place(done)
            elif _settled(done):
                self._erase(done.process)

    def _place(self, done: Done) -> None:
        """The driver has said where a process is that was noted as out or on its way."""
        note = self._notes().get(done.process)
        if note is None:
            return
        if _settled(done) and done.state in (None, GateState.OPEN):
            self._erase(done.process)
        if done.state is None or not self._is_believed(note, done.state):
            self._again[done.process] = time.monotonic() + AGAIN
            return
        if done.state is GateState.CLOSED:  # from now on a closed gate like any other
            self._write_closed(done.process)
            self._forget(done.process)
        elif done.state in (GateState.PAGED_OUT, GateState.FAILED):
            step = LOST if done.state is GateState.FAILED else ""
            self._out[done.process] = replace(note, step=step)
            if note.step != step:
                self._write(done.process, self._out[done.process])

    def _is_believed(self, note: Note, state: GateState) -> bool:
        """Whether a step that was under way has ended: until then the state may be the old one."""
        old = {"out": GateState.CLOSED, "in": GateState.PAGED_OUT}.get(note.step)
        return state is not old or note.is_overdue(self._wall())

    def _notes(self) -> dict[Process, Note]:
        return self._paged.read() if self._paged else {}

    def _write_closed(self, process: Process) -> None:
        with suppress(JournalError):
            self._journal.note(process)

    def _write(self, process: Process, note: Note) -> None:
        with suppress(JournalError):  # it is asked again by whoever comes next
            if self._paged:
                self._paged.note(process, note)

    def _forget(self, process: Process) -> None:
        with suppress(JournalError):
            if self._paged:
                self._paged.erase(process)

    def _erase(self, process: Process) -> None:
        self._forget(process)
        with suppress(JournalError):  # it will be opened once more, which does no harm
            self._journal.erase(process)


def _settled(done: Done) -> bool:
    """Its gate is open, or there is none any more."""
    return done.error is None or isinstance(done.error, GateGone | GateIllegal | GateNoContext)
