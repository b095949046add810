"""The turns that were, numbered for as long as the agent runs. Pure.

A gatekeeper keeps its own numbers, which begin anew with each gatekeeper, and its own clock. Here
turns go on being numbered, and have the time of day.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

from rota.figures.model import TurnFigures, TurnPage
from rota.scheduling.log import Turn

SIZE = 8192
"""Turns that are kept: at 40 turns a second the last three minutes."""

PAGE = 1000
"""Turns that one page holds at most."""


class TurnHistory:
    """The last `size` turns."""

    def __init__(self, size: int = SIZE) -> None:
        self._ring: deque[TurnFigures] = deque(maxlen=size)
        self._next = 0

    @property
    def next(self) -> int:
        """The number that the next turn will have."""
        return self._next

    def add(self, turns: Iterable[Turn], offset: float) -> None:
        """Append turns in the order in which they ended.

        Args:
            turns: on the gatekeeper's clock.
            offset: seconds since 1970 less the gatekeeper's clock.
        """
        for turn in turns:
            self._ring.append(_figures(self._next, turn, offset))
            self._next += 1

    def page(self, since: int | None = None, limit: int = PAGE) -> TurnPage:
        """The turns from number `since` on, at most `limit`; the last ones where None."""
        oldest = self._next - len(self._ring)
        first = self._next - limit if since is None else since
        first = min(max(first, oldest), self._next)
        start = first - oldest
        kept = tuple(self._ring[i] for i in range(start, min(start + limit, len(self._ring))))
        return TurnPage(first, first + len(kept), kept)

    def number_at(self, time: float) -> int:
        """The number of the first turn that ended after `time`, in seconds since 1970."""
        number = self._next
        for turn in reversed(self._ring):
            if turn.end <= time:
                break
            number = turn.number
        return number


def _figures(number: int, turn: Turn, offset: float) -> TurnFigures:
    start, end = round(turn.start + offset, 6), round(turn.end + offset, 6)
    return TurnFigures(
        number,
        turn.client,
        turn.gpu,
        start,
        end,
        str(turn.why),
        round(turn.waited, 6),
        round(turn.closing, 6),
        round(turn.used, 6),
    )
