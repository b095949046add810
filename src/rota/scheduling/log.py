"""The turn log: what the metrics, the trace and the page know about turns comes from here."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterable
from dataclasses import dataclass

from rota.scheduling.terms import Why


@dataclass(frozen=True, slots=True)
class Turn:
    """One stretch in which a client's gates on a GPU were open. Times in seconds.

    Attributes:
        client: whose turn it was.
        gpu: UUID of the GPU.
        start: when its gates were open, on the monotonic clock.
        end: when they were closed again, the drain included.
        why: why it ended.
        waited: how long the client had wanted the GPU before `start`.
        closing: how long its gates took to close; 0 where they were not closed (exited).
        used: `end - start` less the time in which it was seen idle, and less the parts of others
            that were on the GPU at the same time: what it was charged for.
    """

    client: str
    gpu: str
    start: float
    end: float
    why: Why
    waited: float
    closing: float
    used: float


class TurnLog:
    """The last `size` turns, numbered from 0 in the order in which they ended."""

    def __init__(self, size: int = 4096) -> None:
        self._ring: deque[Turn] = deque(maxlen=size)
        self._next = 0

    @property
    def next(self) -> int:
        """The number that the next turn will have."""
        return self._next

    def add(self, *turns: Turn) -> None:
        """Append turns; the oldest make room."""
        self._ring.extend(turns)
        self._next += len(turns)

    def since(self, number: int) -> tuple[int, tuple[Turn, ...]]:
        """The turns from `number` on that are still here, and the number of the first of them."""
        first = self._next - len(self._ring)
        start = min(max(number, first), self._next)
        return start, tuple(self._ring)[start - first :]


def used(turns: Iterable[Turn]) -> dict[str, float]:
    """GPU seconds of each client."""
    sums: dict[str, float] = defaultdict(float)
    for turn in turns:
        sums[turn.client] += turn.used
    return dict(sums)


def shares(turns: Iterable[Turn]) -> dict[str, float]:
    """The part of all GPU seconds that each client had, 0 to 1."""
    sums = used(turns)
    total = sum(sums.values())
    return {client: seconds / total if total else 0.0 for client, seconds in sums.items()}


def jain(values: Iterable[float]) -> float:
    """Jain's index of fairness: 1 where all are equal, 1/n where one has everything.

    For weighted clients, pass each one's service divided by its share. 1 for no values at all.
    """
    numbers = list(values)
    squares = sum(number * number for number in numbers)
    return sum(numbers) ** 2 / (len(numbers) * squares) if squares else 1.0
