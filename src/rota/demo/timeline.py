"""Turns as lanes of characters: who had the GPU when. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from rota.scheduling.log import Turn


def lane(turns: Iterable[Turn], client: str, begin: float, end: float, width: int) -> str:
    """One client's turns between two moments, `width` characters long.

    A character stands for a stretch of time: full if the client had the GPU for most of it, half if
    for some of it.
    """
    step = (end - begin) / width
    had = [0.0] * width
    for turn in turns:
        if turn.client == client:
            _add(had, turn, begin, step)
    return "".join(_mark(seconds / step) for seconds in had)


def _add(had: list[float], turn: Turn, begin: float, step: float) -> None:
    first = max(0, int((turn.start - begin) / step))
    last = min(len(had) - 1, int((turn.end - begin) / step))
    for cell in range(first, last + 1):
        start, stop = begin + cell * step, begin + (cell + 1) * step
        had[cell] += max(0.0, min(turn.end, stop) - max(turn.start, start))


def _mark(part: float) -> str:
    if part >= 0.6:
        return "█"
    return "▌" if part >= 0.2 else "·"
