"""One process's gate: what it is, what it should be, and the call that is on its way.

The gate follows its target: `steer` starts the call that is missing, `came_back` takes note of its
end. Each error of the door has its answer here.
"""

from __future__ import annotations

import enum
from collections.abc import Callable
from typing import Protocol

from rota.gatekeeper.journal import Journal, Process
from rota.gatekeeper.lanes import PAGING, Call, Done, Lanes, Relay
from rota.gatekeeper.stat import stopped
from rota.gpu.doors import (
    GateForbidden,
    GateGone,
    GateIllegal,
    GateNoContext,
    GateState,
    GateUnsupported,
)

RETRY = 0.05
"""Seconds after which a call that failed is tried again."""

PROBE = 0.02
"""Seconds between two questions to a starting process."""


class Demand(Protocol):
    """Whether a process wants the GPU (`rota.gpu.demand.ProcessDemand`)."""

    @property
    def ended(self) -> bool:
        """The process is no more."""
        ...

    def readable(self) -> bool:
        """It can be told at all."""
        ...

    def wants(self) -> bool:
        """Its gate is closed: does a thread wait there?"""
        ...

    def asleep(self) -> bool:
        """Its gate is open: do all its CUDA threads sleep?"""
        ...

    def at_rest(self) -> bool:
        """Its gate is closed: none of its CUDA threads runs, whatever they wait for."""
        ...

    def close(self) -> None:
        """Give its descriptors back."""
        ...


MakeDemand = Callable[[int, int], Demand]


class Result(enum.Enum):
    """What the end of a call means for the client."""

    FINE = "fine"
    BUSY = "busy"  # did not drain in time: open as before
    GONE = "gone"  # the process is no more
    NEVER = "never"  # this process cannot be gated


class Gate:
    """The gate of one process.

    Attributes:
        process: whose.
        demand: whether it wants the GPU.
        closed: its gate is closed, by us.
        starting: it has no context yet, as far as is known.
        paged: its memory is in host memory: it cannot be opened before it is back.
        stumbled: how its last paging step failed; None if it did not.
    """

    def __init__(self, process: Process, demand: Demand, lanes: Lanes, journal: Journal) -> None:
        self.process = process
        self.demand = demand
        self.closed = False
        self.starting = False
        self.paged = False
        self.stumbled: Done | None = None
        self._lanes = lanes
        self._journal = journal
        self._calling: Call | None = None
        self._relay: Relay | None = None
        self._spared = 0.0
        self._probe_at = 0.0

    @property
    def calling(self) -> bool:
        """A call is on its way."""
        return self._calling is not None

    @property
    def ready(self) -> bool:
        """It is closed and can be opened by the next call."""
        able = self.closed and not self.calling and not self.paged
        return able and not self.starting and not self.stopped

    @property
    def paging(self) -> bool:
        """It is on its way out or in."""
        return self._calling in PAGING

    @property
    def stopped(self) -> bool:
        """The program is stopped: no call comes back, and it cannot use the GPU either."""
        return stopped(self.process.pid)

    def is_settled(self, now: float, *, closed: bool) -> bool:
        """It is as it should be, or needs not be: no context, stopped, closed by others, or out."""
        if self.paged or self.paging:
            return True
        if self._calling is None and self.closed is closed:
            return True
        if not self.calling and closed and self._spared > now:
            return True
        return self.stopped

    def steer(self, now: float, *, closed: bool, timeout: float, then: Gate | None = None) -> None:
        """Start the call that is missing.

        Args:
            now: the time.
            closed: as it should be.
            timeout: in seconds, for closing.
            then: a gate that is to be opened as soon as this one is closed.

        Raises:
            JournalError: the gate cannot be noted, so it is not closed.
        """
        if self._relay and not closed and self._relay.take():
            self._calling = self._relay = None  # it need not wait for the other one any more
        if self.calling or self.closed is closed or self._spared > now:
            return
        if self.paged or self.stopped:
            return
        if closed:
            self._journal.note(self.process)
        if closed and then and then.ready:
            then._calling, then._relay = Call.OPEN, Relay(then.process)
            self._start(Call.CLOSE, timeout, then._relay)
        else:
            self._start(Call.CLOSE if closed else Call.OPEN, timeout)

    def page(self, call: Call) -> None:
        """Bring its memory to the host, or back; the gate is closed, and what is to come is noted."""
        self.stumbled = None
        self._start(call)

    def probe_start(self, now: float) -> None:
        """Ask a starting process now and then for its state: has it a context by now?"""
        if self.starting and now >= self._probe_at and not self.calling and not self.stopped:
            self._probe_at = now + PROBE
            self._start(Call.STATE)

    def came_back(self, done: Done, now: float) -> Result:
        """Take note of the end of a call.

        Raises:
            JournalError: an open gate cannot be erased.
        """
        self._calling = self._relay = None
        if done.skipped:
            return Result.FINE
        if isinstance(done.error, GateGone):
            self.closed = self.paged = False
            self._journal.erase(self.process)
            return Result.GONE
        if done.call in PAGING:
            return self._moved(done)
        if done.call is Call.STATE:
            self.starting = isinstance(done.error, GateNoContext)
            return Result.FINE
        return self._opened(done, now) if done.call is Call.OPEN else self._closed(done, now)

    def forget(self) -> None:
        """The process is no more, or no longer ours."""
        self._lanes.forget(self.process)
        self.demand.close()
        self._journal.erase(self.process)

    def _moved(self, done: Done) -> Result:
        """A paging step has ended; where it failed, the driver says how it left the process."""
        self.stumbled = done if done.error else None
        self.paged = done.call is Call.PAGE_OUT
        if done.error:
            self.paged = done.state is GateState.PAGED_OUT
            self.closed = done.state is not GateState.OPEN
        return Result.FINE

    def _start(self, call: Call, timeout: float = 0.0, then: Relay | None = None) -> None:
        self._calling = call
        self._lanes.submit(self.process, call, timeout, then)

    def _opened(self, done: Done, now: float) -> Result:
        if done.error is None or isinstance(done.error, GateIllegal | GateNoContext):
            self.closed = False
            self._journal.erase(self.process)
        else:
            self._spared = now + RETRY
        return Result.FINE

    def _closed(self, done: Done, now: float) -> Result:
        error = done.error
        if error is None:
            self.closed = True
            self.starting = False
            return Result.FINE
        self._journal.erase(self.process)
        if isinstance(error, GateNoContext):
            self._spared = now + RETRY
            return Result.FINE
        if isinstance(error, GateIllegal):
            # Somebody else has closed it: it is theirs to open.
            self._spared = now + 20 * RETRY
            return Result.FINE
        if isinstance(error, GateForbidden | GateUnsupported):
            return Result.NEVER
        self._spared = now + RETRY
        return Result.BUSY
