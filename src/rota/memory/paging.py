"""Whom to page out when somebody needs memory, and who stays, and why.

Paging moves a whole client to host memory and back; it takes seconds. So it is for idle clients
whose memory somebody else needs, the least recently used first, and for nobody in vain: where all
that could be paged out is not enough, all stay.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

MARGIN = 512 * 2**20
"""Bytes that stay free beside a copy, at every level: drivers and programs need some of their own."""


class Stays(enum.StrEnum):
    """Why a client is not paged out."""

    NEVER = "never"  # `rota.dev/paging: never`
    UNFIT = "unfit"  # the driver said that it uses what cannot be checkpointed
    MOVING = "moving"  # it is not resident: out, lost, or on its way
    EMPTY = "empty"  # it uses nothing of what is needed
    WORKING = "working"  # it wants the GPU or did lately: what it uses is its working set
    FRESH = "fresh"  # it was paged in a moment ago
    HOST = "host"  # the host, or a cgroup that it is in, has no room for the copy


@dataclass(frozen=True, slots=True)
class Rooms:
    """Host memory by level: the host itself, what paging may use of it, and each cgroup.

    A copy is charged to the target's cgroup and to every level above it, so it must fit all.

    Attributes:
        free: level → bytes free, as measured now. A level without a limit is not named.
        margin: bytes that stay free at each level.
    """

    free: Mapping[str, int]
    margin: int = MARGIN

    def fits(self, size: int, levels: Sequence[str]) -> bool:
        """A copy of `size` bytes has room at all of its levels, and leaves the margin."""
        return all(size + self.margin <= self.free[level] for level in levels if level in self.free)

    def less(self, size: int, levels: Sequence[str]) -> Rooms:
        """What is left when a copy is on its way there."""
        free = {at: left - size if at in levels else left for at, left in self.free.items()}
        return Rooms(free, self.margin)


@dataclass(frozen=True, slots=True)
class Candidate:
    """A client that might be paged out. Times in seconds on the caller's clock.

    Attributes:
        client: its id.
        memory: GPU → bytes that it uses there.
        last_used: when it last wanted a GPU or worked on one.
        levels: the levels of host memory that its copy is charged to.
        wants: it wants a GPU now, or has the turn.
        stays_until: not before this, since it was paged in a moment ago.
        moving: it is not resident: out, lost, or on its way.
        never: `rota.dev/paging: never`.
        unfit: the driver has said that it cannot be checkpointed.
        unspent: GPU → bytes that are kept for it and that it does not use: they come free as well.
    """

    client: str
    memory: Mapping[str, int]
    last_used: float
    levels: tuple[str, ...] = ()
    wants: bool = False
    stays_until: float = float("-inf")
    moving: bool = False
    never: bool = False
    unfit: bool = False
    unspent: Mapping[str, int] = field(default_factory=dict)

    def frees(self, gpu: str) -> int:
        """What comes free on a GPU when it goes, in bytes."""
        return self.memory[gpu] + self.unspent.get(gpu, 0)

    @property
    def size(self) -> int:
        """What its copy needs: its memory on all GPUs, in bytes."""
        return sum(self.memory.values())


@dataclass(frozen=True, slots=True)
class Choice:
    """Whom to page out.

    Attributes:
        out: in this order; empty where it would be in vain.
        short: the bytes that cannot be had by paging; then nobody is paged out.
        stays: client → why it is not paged out, of all others that were looked at.
    """

    out: tuple[str, ...] = ()
    short: int = 0
    stays: Mapping[str, Stays] = field(default_factory=dict)


def choose(
    candidates: Sequence[Candidate],
    gpu: str,
    needed: int,
    rooms: Rooms,
    now: float,
    idle_after: float,
) -> Choice:
    """Whom to page out so that `needed` bytes come free on `gpu`.

    Args:
        candidates: all clients of the GPU but the one that needs the memory.
        gpu: its UUID.
        needed: bytes that are missing; nobody is paged out for nothing.
        rooms: host memory now, less what copies on their way will still take.
        now: seconds on the clock of `last_used` and `stays_until`.
        idle_after: seconds without demand after which a client may be paged out.
    """
    stays: dict[str, Stays] = {}
    chosen: list[Candidate] = []
    for one in sorted(candidates, key=lambda one: _rank(one, gpu)):
        enough = sum(other.frees(gpu) for other in chosen) >= needed
        why = _why(one, gpu, rooms, now, idle_after)
        if why:
            stays[one.client] = why
        elif not enough:
            chosen.append(one)
            rooms = rooms.less(one.size, one.levels)
    got = sum(one.frees(gpu) for one in chosen)
    if got < needed:
        return Choice((), needed - got, stays)
    return Choice(tuple(one.client for one in _spared(chosen, gpu, got - needed)), 0, stays)


def stays_until(now: float, seconds_out: float, seconds_in: float) -> float:
    """Until when a client that came back at `now` stays: at least as long as the swap took."""
    return now + seconds_out + seconds_in


def _why(one: Candidate, gpu: str, rooms: Rooms, now: float, idle_after: float) -> Stays | None:
    """Why a client stays, the most lasting reason first; None: it may be paged out."""
    reasons = (
        (Stays.NEVER, one.never),
        (Stays.UNFIT, one.unfit),
        (Stays.MOVING, one.moving),
        (Stays.EMPTY, one.memory.get(gpu, 0) <= 0),
        (Stays.WORKING, one.wants or now - one.last_used < idle_after),
        (Stays.FRESH, now < one.stays_until),
        (Stays.HOST, not rooms.fits(one.size, one.levels)),
    )
    return next((reason for reason, holds in reasons if holds), None)


def _rank(one: Candidate, gpu: str) -> tuple[float, int, str]:
    """Least recently used first, the largest among equals."""
    return one.last_used, -one.memory.get(gpu, 0), one.client


def _spared(chosen: Sequence[Candidate], gpu: str, surplus: int) -> list[Candidate]:
    """Without those who turn out not to be needed, the most recently used spared first."""
    kept: list[Candidate] = []
    for one in reversed(chosen):
        if one.frees(gpu) <= surplus:
            surplus -= one.frees(gpu)
        else:
            kept.append(one)
    return kept[::-1]
