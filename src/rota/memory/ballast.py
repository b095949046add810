"""How much memory to hold, so that who can allocate gets its limit and nobody else's share.

Only a client whose gate is open can allocate, so what is left free while it is open is all that it
can get. `plan` says how much that is; the rest is ballast. It is worked out after the last gate has
closed and before the next one opens (`handover`), which is why turns are disjoint under hard
enforcement: two open clients could take each other's memory.

What a gate cannot hold back is a process that makes its first context, and a restore. Their room is
kept in the ballast, where nobody can take it, and is left free in a stretch of their own, in which
every other gate of the GPU is closed.
"""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass

from rota.errors import RotaError
from rota.memory.sizes import rounded_down, rounded_up

MIB = 2**20


@dataclass(frozen=True, slots=True)
class Standing:
    """One client of a GPU at a handover. All sizes in bytes.

    Attributes:
        client: its id.
        use: what its processes use.
        limit: what it may use; None: no limit.
        guaranteed: what nobody else may take from it, whether it uses it or not.
        can_allocate: its gate is open, or is to be opened, in the stretch that is planned.
        context: room that a process of it needs to start; 0 when it has none that is to start.
        restoring: what it brings back from host memory in this stretch; 0 when nothing.
    """

    client: str
    use: int = 0
    limit: int | None = None
    guaranteed: int = 0
    can_allocate: bool = False
    context: int = 0
    restoring: int = 0

    @property
    def headroom(self) -> int | None:
        """What it may still take; None: no limit."""
        return None if self.limit is None else max(0, self.limit - self.use)

    @property
    def start(self) -> int:
        """What a process of it may take to start: a context, within its limit."""
        return self.context if self.headroom is None else min(self.context, self.headroom)

    @property
    def ward(self) -> int:
        """What is kept for it while it cannot allocate: its unspent share, a start at least."""
        return max(0, self.guaranteed - self.use, self.start)


@dataclass(frozen=True, slots=True)
class Grain:
    """The sizes in which ballast is held.

    Attributes:
        chunk: the size of a piece, in bytes: on an H100 pieces of 64 MiB took a fifth longer to let go.
        granule: what the GPU hands out memory in: every piece is a multiple of it.
    """

    chunk: int = 256 * MIB
    granule: int = 2 * MIB


@dataclass(frozen=True, slots=True)
class Held:
    """Ballast in hand: whole chunks, and at most one smaller piece of `rest` bytes."""

    chunks: int = 0
    rest: int = 0

    def size(self, grain: Grain) -> int:
        """All of it, in bytes."""
        return self.chunks * grain.chunk + self.rest

    @classmethod
    def for_size(cls, size: int, grain: Grain) -> Held:
        """The pieces that make up `size`, a multiple of the granule."""
        return cls(size // grain.chunk, size % grain.chunk)


@dataclass(frozen=True, slots=True)
class Plan:
    """What to hold before the gate opens. All in bytes.

    Attributes:
        ballast: what to hold.
        left: what stays free: all that can be allocated until the next plan.
        short: what the GPU lacks for what was promised (shares, starts, a restore): above 0,
            somebody must be paged out, or unmanaged use must end, before all of it can be had.
        restorable: what is to be restored has its room. Never restore otherwise: the driver loses
            a process whose restore meets too little memory.
    """

    ballast: int
    left: int
    short: int = 0
    restorable: bool = True


@dataclass(frozen=True, slots=True)
class Change:
    """From the ballast in hand to that of a plan: pieces by size in bytes.

    Attributes:
        release: to be let go, all at once and first.
        take: to be taken then, one step after the other.
    """

    release: tuple[int, ...] = ()
    take: tuple[int, ...] = ()


class Act(enum.StrEnum):
    """One step of a handover."""

    CLOSE = "close"  # returns when what was submitted has drained
    MEASURE = "measure"  # read free memory and use; make the plan from them
    BALLAST = "ballast"  # release, then take
    OPEN = "open"


@dataclass(frozen=True, slots=True)
class Step:
    """An act, and the client whose gates it is about (empty for the GPU's own)."""

    act: Act
    client: str = ""


def plan(standings: Sequence[Standing], free: int, held: int, grain: Grain) -> Plan:
    """What to hold in the coming stretch, with `free` bytes free and `held` bytes held now.

    Where nobody has a limit, nor comes back from host memory, nothing is held, so that no machine
    is ever kept from starting anything. It may be asked again while a gate is open, when somebody else gave memory back: what
    is to be taken then does not change by what the open client allocates or frees meanwhile.
    """
    physical = free + held
    if not any(s.limit is not None or s.guaranteed or s.restoring for s in standings):
        return Plan(0, physical)
    open_to = [standing for standing in standings if standing.can_allocate]
    kept = sum(standing.ward for standing in standings if _is_kept(standing, open_to))
    needed = _needed(open_to, grain)
    left = max(0, min(physical - kept, _bound(open_to, needed)))
    restoring = sum(standing.restoring for standing in open_to)
    alone = bool(open_to) and all(standing.restoring for standing in open_to)
    ballast = _whole(physical, left, grain, generous=alone)
    short = max(0, kept + needed - physical)
    return Plan(ballast, physical - ballast, short, physical - ballast >= restoring)


def spare(standings: Sequence[Standing], free: int, held: int) -> int:
    """What could be given to a newcomer or a restore without touching anybody's unspent share."""
    return max(0, free + held - sum(standing.ward for standing in standings))


def change(held: Held, size: int, grain: Grain) -> Change:
    """How to come from the pieces in hand to `size` bytes, a multiple of the granule."""
    goal = Held.for_size(size, grain)
    release = [grain.chunk] * max(0, held.chunks - goal.chunks)
    take = [grain.chunk] * max(0, goal.chunks - held.chunks)
    if held.rest != goal.rest:
        release += [held.rest] * (held.rest > 0)
        take += [goal.rest] * (goal.rest > 0)
    return Change(tuple(release), tuple(take))


def handover(
    out: Sequence[str], into: str | None, *, hard: bool, overlapped: bool = False
) -> tuple[Step, ...]:
    """The steps of a handover, in order.

    A step that fails ends it: a gate that would not close stays open, the ballast stays as it is
    and nobody else's gate opens; ballast that could not be taken is measured and planned anew.

    Raises:
        RotaError: overlapped under hard enforcement.
    """
    if hard and overlapped:
        what = "turns cannot overlap where memory limits are enforced hard"
        hint = "close before opening, or set `rota.memory.enforce: report`"
        raise RotaError(what, where="rota.memory.enforce", hint=hint)
    closing = [Step(Act.CLOSE, client) for client in out]
    opening = [Step(Act.OPEN, into)] if into else []
    if overlapped:
        return (*opening, *closing)
    weighing = [Step(Act.MEASURE), Step(Act.BALLAST)] if hard else []
    return (*closing, *weighing, *opening)


def _is_kept(standing: Standing, open_to: Sequence[Standing]) -> bool:
    """What is its own is to be kept from others. While all gates are closed, a start may have it."""
    return not standing.can_allocate and not (standing.context and not open_to)


def _needed(open_to: Sequence[Standing], grain: Grain) -> int:
    """What a stretch that is for starting or restoring needs; 0 for a turn like any other."""
    starts = sum(standing.start + grain.granule for standing in open_to if standing.context)
    return starts + sum(standing.restoring for standing in open_to)


def _bound(open_to: Sequence[Standing], needed: int) -> int:
    """The most that may be free, however much there is.

    Nobody who can allocate may get beyond its limit. A restore gets just what it needs: it brings
    back what the client had, no limit cuts it, and its gate is closed when it is back. Who starts
    finds what is its own, though somebody who has just started be not closed yet. Several who start
    at once find what all of them are due: each makes its context and goes on, and which of them
    comes first cannot be told before it has a gate.
    """
    starters = [standing for standing in open_to if standing.context]
    due = [standing.headroom for standing in starters if standing.headroom is not None]
    rooms = [s.headroom for s in open_to if s.headroom is not None and not s.restoring]
    if any(standing.restoring for standing in open_to):
        rooms.append(needed)
    elif due and len(due) == len(starters):
        return sum(due)
    return min(rooms, default=2**63)


def _whole(physical: int, left: int, grain: Grain, *, generous: bool) -> int:
    """The ballast in whole granules: rather more than less, unless a restore needs the room."""
    rounded = rounded_down if generous else rounded_up
    most = rounded_down(physical, grain.granule)
    return min(most, rounded(physical - left, grain.granule))
