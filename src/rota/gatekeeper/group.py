"""A client's gates as one: all or none, in parallel, under one deadline.

Where part of them cannot be closed in time, all are opened again. Programs tied to each other (NCCL,
shared memory) so never wait for one another behind gates, and after repeated failure they run
ungated, with the reason shown.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from rota.gatekeeper.gate import Gate, Result
from rota.gatekeeper.journal import Process
from rota.gatekeeper.lanes import Done
from rota.gatekeeper.messages import ClientSpec, Settings

HANGS = 0.5
"""Seconds past the deadline after which a call that has not come back hangs."""

ATTEMPTS = 3
"""How often a process that appears in a closed client may fail to close."""

FORGET = 0.8
"""What is left of a long drain in memory after each shorter one."""

OPENING = 2.0
"""Seconds that opening may take."""


class State(enum.StrEnum):
    """What a client's gates do."""

    OPEN = "open"
    OPENING = "opening"
    CLOSED = "closed"
    CLOSING = "closing"


class Outcome(enum.Enum):
    """What has become of the way to a new state."""

    REACHED = "reached"
    REFUSED = "refused"  # part of it would not close: all are being opened again


@dataclass(slots=True)
class Tally:
    """How often something was done, and how many seconds that took in all."""

    count: int = 0
    seconds: float = 0.0

    def add(self, seconds: float) -> None:
        """Once more."""
        self.count += 1
        self.seconds += seconds


class Group:
    """The gates of one client.

    Attributes:
        spec: what the agent said last.
        state: what the gates do.
        since: from when on they have been doing it.
        ungated: why they stay open whoever's turn it is; empty if they do not.
        took: how long the last closing took, in seconds.
        drain: how long closing may well take again: the longest of late.
        steady: every gate is as it should be; nothing to do until something happens.
        gates: those of its processes.
        openings: how often all its gates were opened, and how long that took.
        closings: likewise.
        failures: how often they would not close, or open.
    """

    def __init__(self, spec: ClientSpec) -> None:
        self.spec = spec
        self.state = State.OPEN
        self.since = 0.0
        self.ungated = ""
        self.took = self.drain = 0.0
        self.steady = False
        self.openings, self.closings, self.failures = Tally(), Tally(), 0
        self.gates: tuple[Gate, ...] = ()
        self._by_process: dict[Process, Gate] = {}
        self._failures = 0
        self._busy = False
        self._then: Gate | None = None

    def __iter__(self) -> Iterator[Gate]:
        return iter(self.gates)

    def __len__(self) -> int:
        return len(self.gates)

    @property
    def processes(self) -> Iterable[Process]:
        """Its processes that have a gate here."""
        return self._by_process.keys()

    @property
    def shut(self) -> bool:
        """Its gates are to be closed."""
        return self.state in (State.CLOSED, State.CLOSING)

    @property
    def only(self) -> Gate | None:
        """Its gate, where it has one only."""
        return self.gates[0] if len(self.gates) == 1 else None

    @property
    def handed(self) -> bool:
        """A gate of it is being opened, or will be by whoever closes another one."""
        return self.state is State.CLOSED and any(gate.calling for gate in self)

    @property
    def moving(self) -> bool:
        """Its gates are being opened or closed."""
        return self.state in (State.OPENING, State.CLOSING)

    def add(self, gate: Gate) -> None:
        """A process of this client appeared."""
        if gate.paged and (self.away or not self.gates):
            self.state = State.CLOSED
        self._by_process[gate.process] = gate
        self.gates = tuple(self._by_process.values())
        self.steady = False

    def remove(self, process: Process) -> Gate | None:
        """A process is no more, or no longer the client's."""
        gate = self._by_process.pop(process, None)
        self.gates = tuple(self._by_process.values())
        return gate

    def gate(self, process: Process) -> Gate | None:
        """The gate of that process."""
        return self._by_process.get(process)

    @property
    def away(self) -> bool:
        """All its memory is in host memory: there is no gate to open."""
        return bool(self.gates) and all(gate.paged for gate in self.gates)

    def open(self, now: float) -> None:
        """Open all gates, from now on; those of processes that are paged out stay as they are."""
        if self.shut and not self.away:
            self.state, self.since, self.steady = State.OPENING, now, False

    def close(self, now: float, then: Group | None = None) -> None:
        """Close all gates, from now on.

        Where `then` is named, its gate is opened as soon as this one's is closed; where either has
        several, whoever called this opens them.
        """
        if not self.shut:
            self.state, self.since, self._busy = State.CLOSING, now, False
            self.steady = False
            self._then = then.only if then and self.only else None

    def came_back(self, done: Done, now: float) -> None:
        """A call to one of the gates has come back. JournalError as `Gate.came_back`."""
        self.steady = False
        gate = self._by_process[done.process]
        result = gate.came_back(done, now)
        if result is Result.GONE:
            self.remove(done.process)
            gate.forget()
        elif result is Result.NEVER:
            self._fail(str(done.error), now)
        elif result is Result.BUSY and self.state is State.CLOSING:
            self._busy = True
        elif result is Result.BUSY and self.state is State.CLOSED:
            self._failures += 1  # a newcomer, or one that was stopped until now
            if self._failures >= ATTEMPTS:
                self._fail("its gates would not close behind its turn", now)

    def steer(self, now: float, settings: Settings) -> Outcome | None:
        """Start what is missing; tell what has become of it. JournalError as `Gate.steer`."""
        outcome = None
        if self.state is State.CLOSING:
            outcome = self._closing(now, settings)
        timeout = settings.deadline
        if self.state is State.CLOSING:
            timeout = max(0.001, self.since + settings.deadline - now)
        for gate in self:
            gate.steer(now, closed=self.shut, timeout=timeout, then=self._then)
        if self.state is State.OPENING and outcome is None:
            outcome = self._opening(now)
        self.steady = not self.moving and all(
            (gate.closed is self.shut or gate.paged) and not gate.calling for gate in self
        )
        return outcome

    def settled(self, now: float) -> bool:
        """Every gate is as it should be, or cannot be."""
        return all(gate.is_settled(now, closed=self.shut) for gate in self)

    def _closing(self, now: float, settings: Settings) -> Outcome | None:
        late = now - self.since > settings.deadline + HANGS
        if self._busy or (late and not self.settled(now)):
            return self._refuse("would not drain in time" if self._busy else "hang", now, settings)
        if self.settled(now):
            self.took, self.state, self.since = now - self.since, State.CLOSED, now
            self._then = None
            self.closings.add(self.took)
            self._failures = 0
            self.drain = max(self.took, self.drain * FORGET)
            return Outcome.REACHED
        return None

    def _opening(self, now: float) -> Outcome | None:
        if self.settled(now):
            self.openings.add(now - self.since)
            self.state, self.since = State.OPEN, now
            return Outcome.REACHED
        if now - self.since > OPENING:
            self._fail("the driver does not open its gate", now)
        return None

    def _refuse(self, why: str, now: float, settings: Settings) -> Outcome:
        self._failures += 1
        self.state, self.since, self._busy, self._then = State.OPENING, now, False, None
        if self._failures >= settings.attempts:
            self._fail(f"its gates {why}, {self._failures} times in a row", now)
        else:
            self.failures += 1
        return Outcome.REFUSED

    def _fail(self, why: str, now: float) -> None:
        self.failures += 1
        self.ungated = self.ungated or why
        self.open(now)
