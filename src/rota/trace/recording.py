"""Gathers what an agent tells in a stretch of time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from rota.figures.model import Snapshot, TurnFigures, TurnPage

EVERY = 0.2
"""Seconds between two snapshots: as often as NVML has a new sample."""


class Source(Protocol):
    """Whoever tells figures: the reader of an agent."""

    def state(self) -> Snapshot:
        """The figures of now."""
        ...

    def turns(self, since: int | None = None) -> TurnPage:
        """The turns from that number on, a page of them; the last ones where None."""
        ...


@dataclass(frozen=True, slots=True)
class Recording:
    """What was told.

    Attributes:
        snapshots: in the order of time; never empty.
        turns: those that ended meanwhile, in the order in which they ended.
        lost: how many turns were gone before they could be read.
    """

    snapshots: tuple[Snapshot, ...]
    turns: tuple[TurnFigures, ...]
    lost: int = 0

    @property
    def begin(self) -> float:
        """Seconds since 1970."""
        return self.snapshots[0].at

    @property
    def end(self) -> float:
        """Seconds since 1970."""
        return self.snapshots[-1].at


def record(
    source: Source,
    seconds: float,
    clock: Callable[[], float],
    sleep: Callable[[float], object],
    every: float = EVERY,
) -> Recording:
    """Watch for so many seconds. Blocks.

    Args:
        source: whom to ask.
        seconds: for how long.
        clock: any that goes on, in seconds.
        sleep: waits for so many seconds; an interrupt (KeyboardInterrupt) in it ends the recording
            early.
        every: seconds between two snapshots.

    Raises:
        RotaError: nobody answers, or nobody does any more.
    """
    number = source.turns().next
    begun = clock()
    snapshots, turns = [source.state()], list[TurnFigures]()
    lost = 0
    try:
        while (left := begun + seconds - clock()) > 0:
            sleep(min(every, left))
            snapshots.append(source.state())
            number, lost = _drain(source, number, turns, lost)
    except KeyboardInterrupt:
        pass
    _, lost = _drain(source, number, turns, lost)
    return Recording(tuple(snapshots), tuple(turns), lost)


def _drain(source: Source, number: int, turns: list[TurnFigures], lost: int) -> tuple[int, int]:
    """Read on from that number; the number to go on with, and how many were lost so far."""
    while True:
        page = source.turns(number)
        lost += max(0, page.first - number) if page.turns else 0
        turns += page.turns
        number = page.next
        if not page.turns:
            return number, lost
