"""A client as one GPU's rota knows it. Only `rota` touches these."""

from __future__ import annotations

from dataclasses import dataclass

from rota.scheduling.log import Turn
from rota.scheduling.terms import Priority, Share, Why


@dataclass(slots=True)
class OpenTurn:
    """A turn that has not ended yet."""

    start: float
    waited: float
    used: float = 0.0
    why: Why | None = None


@dataclass(slots=True)
class Member:
    """A client's place in the rota.

    Attributes:
        virtual: its virtual time: service received, divided by its size.
        open: its gates are open.
        wanting: it wants the GPU: works while open, waits while closed.
        draining: its gates are being closed.
        since: from when on it has been waiting.
        fresh: it has woken up since its last turn; only such a client may preempt.
        parked: it waits for its turn on other GPUs, and does not hold back the clock of this one.
        starting: one of its processes has no context yet.
        spared: until then no close of its gates is tried.
        guest: its gates stay open beside the holder's, since it only ever works for moments.
        brief: how many of its turns in a row were no longer than a burst.
        turn: its turn, from the opening of its gates until they are closed again.
    """

    client: str
    share: Share
    virtual: float
    open: bool
    order: int
    wanting: bool = False
    draining: bool = False
    since: float = 0.0
    fresh: bool = True
    parked: bool = False
    starting: bool = False
    spared: float = 0.0
    guest: bool = False
    brief: int = 0
    turn: OpenTurn | None = None

    @property
    def size(self) -> float:
        """Its part of the GPU in proportion to the others'."""
        return self.share.size

    @property
    def active(self) -> bool:
        """It takes part in the clock of the rota."""
        return self.wanting and not self.parked

    @property
    def is_about(self) -> bool:
        """It has an influence on whose turn it is: a guest only while it works."""
        return (
            self.wanting or self.starting or (self.open and not (self.guest and not self.draining))
        )

    @property
    def urgent(self) -> bool:
        """When it wakes, it does not wait for a minimum or a grain."""
        return self.starting or self.share.priority is Priority.INTERACTIVE

    def ran(self, now: float) -> float:
        """How long its turn has lasted, in seconds."""
        return now - self.turn.start if self.turn else 0.0

    @property
    def served(self) -> bool:
        """It has the GPU, or a part of it: its gates are open, and it works or drains."""
        return self.open and (self.wanting or self.draining)

    def charge(self, seconds: float) -> None:
        """Charge it for so much of the GPU's time."""
        self.virtual += seconds / self.size
        if self.turn:
            self.turn.used += seconds

    def begin(self, now: float) -> None:
        """Its gates are open: its turn begins."""
        waited = max(0.0, now - self.since) if self.wanting else 0.0
        self.open, self.draining, self.fresh = True, False, False
        self.turn = OpenTurn(now, waited)

    def end(self, gpu: str, now: float, why: Why, closing: float) -> Turn | None:
        """Its gates are closed, or it is gone: the turn that ends by it, if it had one."""
        self.open = self.draining = self.guest = False
        return self.finish(gpu, now, why, closing)

    def finish(self, gpu: str, now: float, why: Why, closing: float = 0.0) -> Turn | None:
        """Its turn is over, whatever its gates do: that turn, if it had one."""
        turn, self.turn = self.turn, None
        if turn is None:
            return None
        return Turn(
            self.client, gpu, turn.start, now, turn.why or why, turn.waited, closing, turn.used
        )

    def count(self, turn: Turn | None, burst: float) -> None:
        """Learn from a turn that has ended whether this client works for moments only."""
        if turn:
            short = turn.why is Why.YIELDED and turn.used <= burst
            self.brief = self.brief + 1 if short else 0
