"""Clients that are no more: kept until they were told once, and not for ever. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Set
from dataclasses import replace

from rota.figures.model import ClientFigures, State
from rota.figures.seconds import Key

LONGEST = 600.0
"""Seconds for which somebody who scrapes is waited for."""

MOST = 1024
"""Clients that are kept at most; the oldest make room."""


class Gone:
    """The clients that have gone and were not told yet."""

    def __init__(self) -> None:
        self._kept: dict[Key, tuple[float, ClientFigures]] = {}

    @property
    def keys(self) -> Set[Key]:
        """Who they are."""
        return self._kept.keys()

    def add(self, figures: Iterable[ClientFigures], now: float) -> None:
        """They have gone by `now`; these are the last figures of them."""
        for one in figures:
            self._kept[one.client, one.gpu] = (now, _at_rest(one))
        old = [key for key, (since, _) in self._kept.items() if now - since > LONGEST]
        for key in [*old, *list(self._kept)[: max(0, len(self._kept) - len(old) - MOST)]]:
            self._kept.pop(key, None)

    def back(self, keys: Iterable[Key]) -> None:
        """These are here again."""
        for key in keys:
            self._kept.pop(key, None)

    def take(self) -> tuple[ClientFigures, ...]:
        """All of them, for the first and last time."""
        kept, self._kept = self._kept, {}
        return tuple(figures for _, figures in kept.values())


def _at_rest(figures: ClientFigures) -> ClientFigures:
    """What has gone does nothing and holds nothing."""
    return replace(
        figures,
        state=State.ABSENT,
        processes=(),
        utilization=0.0,
        waiting=0.0,
        turn_since=None,
        memory_bytes=0,
        paged_out_bytes=0,
        power_watts=None,
    )
