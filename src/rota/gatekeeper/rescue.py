"""Open what the journal names: the first thing that whoever starts does, and the last.

Nothing else is touched. A stopped program cannot be opened now; its gate stays in the journal and
is tried again.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Collection

from rota.gatekeeper.journal import Journal, JournalError, Process
from rota.gatekeeper.lanes import Call, Done, Lanes
from rota.gatekeeper.stat import stopped
from rota.gpu.doors import GateDoor, GateGone, GateIllegal, GateNoContext


class Rescue:
    """Opens gates of a journal, in parallel. Safe to use from one thread at a time."""

    def __init__(self, journal: Journal, gates: GateDoor) -> None:
        self._journal = journal
        self._came_back = threading.Event()
        self._lanes = Lanes(gates, self._came_back.set)
        self._under_way: set[Process] = set()

    def run(self, timeout: float = 1.5, without: Collection[Process] = ()) -> list[Process]:
        """Open all that can be opened within `timeout` seconds; return what is left.

        What is left is stopped, or its driver hangs: it is opened as soon as it runs again by a
        thread that waits in the call, and named by the journal until somebody has seen that.
        """
        deadline = time.monotonic() + timeout
        for process in self._journal.read():
            if process not in without and process not in self._under_way:
                self._begin(process)
        while self._running() and time.monotonic() < deadline:
            self._came_back.clear()
            self._collect()
            if self._running():
                self._came_back.wait(min(0.05, max(0.0, deadline - time.monotonic())))
        self._collect()
        return [process for process in self._journal.read() if process not in without]

    def _begin(self, process: Process) -> None:
        self._under_way.add(process)
        self._lanes.submit(process, Call.OPEN)

    def _running(self) -> bool:
        """Something is worth waiting for."""
        return any(not stopped(process.pid) for process in self._under_way)

    def _collect(self) -> None:
        for done in self._lanes.done():
            self._under_way.discard(done.process)
            self._lanes.forget(done.process)
            if _settled(done):
                self._erase(done.process)

    def _erase(self, process: Process) -> None:
        try:
            self._journal.erase(process)
        except JournalError:
            return  # it will be opened once more, which does no harm


def _settled(done: Done) -> bool:
    """Its gate is open, or there is none any more."""
    return done.error is None or isinstance(done.error, GateGone | GateIllegal | GateNoContext)
