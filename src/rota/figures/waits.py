"""How long clients wait, and how their turns end: from the turn log. Pure."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter, defaultdict, deque
from collections.abc import Iterable
from dataclasses import dataclass, field

from rota.figures.model import WAIT_BOUNDS, Histogram
from rota.figures.seconds import Key
from rota.scheduling.log import Turn

MINUTE = 60.0
"""Seconds of turns that percentiles are taken of."""

_KEPT = 2048
"""Turns of one client that percentiles are taken of, at most."""


@dataclass(slots=True)
class Waits:
    """One client on one GPU.

    Attributes:
        ends: why its turns ended → how many.
        counts: of each bucket of the histogram.
        seconds: all that it waited before turns that have ended.
        total: the same with the turn and the wait of now; it never shrinks.
    """

    ends: Counter[str] = field(default_factory=Counter)
    counts: list[int] = field(default_factory=lambda: [0] * (len(WAIT_BOUNDS) + 1))
    seconds: float = 0.0
    total: float = 0.0
    _recent: deque[tuple[float, float]] = field(default_factory=lambda: deque(maxlen=_KEPT))

    def ended(self, turn: Turn) -> None:
        """Take in a turn."""
        self.ends[str(turn.why)] += 1
        self.counts[bisect_left(WAIT_BOUNDS, turn.waited)] += 1
        self.seconds += turn.waited
        self._recent.append((turn.end, turn.waited))

    def now(self, waited: float) -> None:
        """The client waited so long for the turn of now, or has been waiting for so long."""
        self.total = max(self.total, self.seconds + waited)

    @property
    def histogram(self) -> Histogram:
        """Of all turns that have ended."""
        return Histogram(counts=tuple(self.counts), seconds=self.seconds)

    def percentiles(self, at: float, *parts: float) -> tuple[float | None, ...]:
        """Percentiles of the turns of the minute before `at`, on the turns' clock."""
        while self._recent and self._recent[0][0] < at - MINUTE:
            self._recent.popleft()
        waits = sorted(waited for _, waited in self._recent)
        return tuple(_percentile(waits, part) for part in parts)


class AllWaits(defaultdict[Key, Waits]):
    """All clients of a node."""

    def __init__(self) -> None:
        super().__init__(Waits)

    def ended(self, turns: Iterable[Turn]) -> None:
        """Take in turns in the order in which they ended."""
        for turn in turns:
            self[turn.client, turn.gpu].ended(turn)


def _percentile(values: list[float], part: float) -> float | None:
    """The nearest-rank percentile of sorted values."""
    if not values:
        return None
    return values[min(len(values) - 1, int(part * len(values)))]
