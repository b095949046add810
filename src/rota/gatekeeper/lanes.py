"""Gate calls, each process's in a thread of its own, so that none can hold up another or the loop.

Unlock and the state query have no timeout, and no call comes back while its program is stopped
(Ctrl-Z). A thread that hangs is left where it is; it ends with the program.

Where one program is to go on as soon as another's gate is closed, both calls are one job (a relay):
the way back to the loop and out again would be a third of the time in which nobody has the GPU.
"""

from __future__ import annotations

import enum
import queue
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from rota.gatekeeper.journal import Process
from rota.gpu.doors import GateDoor, GateError, GateState


class Call(enum.Enum):
    """What is asked of a gate."""

    OPEN = "open"
    CLOSE = "close"
    STATE = "state"
    PAGE_OUT = "page-out"
    PAGE_IN = "page-in"


PAGING = frozenset({Call.PAGE_OUT, Call.PAGE_IN})
"""Calls that take seconds."""


@dataclass(frozen=True, slots=True)
class Done:
    """A call that came back.

    Attributes:
        process: whose gate.
        call: what was asked.
        error: why it was not done; None if it was.
        state: the answer to `Call.STATE`; where paging failed, how the driver says that it left
            the process, None if it does not say.
        skipped: it was not tried, since what it was to follow failed.
    """

    process: Process
    call: Call
    error: GateError | None = None
    state: GateState | None = None
    skipped: bool = False


class Relay:
    """Whose gate is opened by the thread that closes another one.

    Both the thread and the loop may take it; whoever comes first has it.
    """

    def __init__(self, process: Process) -> None:
        self._processes = [process]

    def take(self) -> Process | None:
        """The process, once; then None."""
        try:
            return self._processes.pop()  # one step for all threads
        except IndexError:
            return None


_Job = tuple[Call, float, Relay | None]


class Lanes:
    """Threads for gate calls.

    Args:
        gates: the door.
        wake: called from a thread whenever a call has come back.
    """

    def __init__(self, gates: GateDoor, wake: Callable[[], None]) -> None:
        self._gates = gates
        self._wake = wake
        self._lanes: dict[Process, queue.SimpleQueue[_Job | None]] = {}
        self._done: queue.SimpleQueue[Done] = queue.SimpleQueue()

    def submit(
        self, process: Process, call: Call, timeout: float = 0.0, then: Relay | None = None
    ) -> None:
        """Start a call; its end is told by `done`.

        Args:
            process: whose gate.
            call: what is asked of it.
            timeout: in seconds, for `Call.CLOSE`.
            then: whose gate to open when this one is closed; its end is told as well.
        """
        if process not in self._lanes:
            jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
            self._lanes[process] = jobs
            name = f"gate-{process.pid}"
            threading.Thread(target=self._run, args=(process, jobs), name=name, daemon=True).start()
        self._lanes[process].put((call, time.monotonic() + timeout, then))

    @property
    def silent(self) -> bool:
        """No call has come back since the last time."""
        return self._done.empty()

    def done(self) -> Iterator[Done]:
        """The calls that came back since the last time."""
        while not self._done.empty():
            yield self._done.get_nowait()

    def forget(self, process: Process) -> None:
        """Let the thread of that process end after what it is doing."""
        if lane := self._lanes.pop(process, None):
            lane.put(None)

    def _run(self, process: Process, jobs: queue.SimpleQueue[_Job | None]) -> None:
        while job := jobs.get():
            call, deadline, relay = job
            done = self._perform(process, call, deadline)
            follower = relay.take() if relay else None
            self._tell(done)
            if follower and done.error is None:
                self._tell(self._perform(follower, Call.OPEN, 0.0))
            elif follower:
                self._tell(Done(follower, Call.OPEN, skipped=True))

    def _tell(self, done: Done) -> None:
        self._done.put(done)
        self._wake()

    def _perform(self, process: Process, call: Call, deadline: float) -> Done:
        state: GateState | None = None
        try:
            if call is Call.OPEN:
                self._gates.open(*process)
            elif call is Call.CLOSE:
                self._gates.close(*process, max(0.001, deadline - time.monotonic()))
            elif call is Call.PAGE_OUT:
                self._gates.page_out(*process)
            elif call is Call.PAGE_IN:
                self._gates.page_in(*process)
            else:
                state = self._gates.state(*process)
        except Exception as error:
            # A call that never came back would leave its gate as it is for ever.
            known = isinstance(error, GateError)
            why = error if known else GateError(f"{type(error).__name__}: {error}")
            assert isinstance(why, GateError)
            return Done(process, call, why, self._left_in(process) if call in PAGING else None)
        return Done(process, call, None, state)

    def _left_in(self, process: Process) -> GateState | None:
        """How a paging step that failed has left the process."""
        try:
            return self._gates.state(*process)
        except Exception:
            return None
