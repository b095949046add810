"""What is served, made once for all who ask: a snapshot's JSON, a scrape's text, pages of turns."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from rota.figures.exposition import exposition
from rota.figures.model import ClientFigures, Snapshot, TurnPage
from rota.figures.wire import to_json


class Figures(Protocol):
    """Where the figures come from (`rota.figures.collect.Collector`)."""

    viewers: int

    @property
    def at(self) -> float:
        """When the last look was, in seconds since 1970."""
        ...

    async def fresh(self, age: float = ...) -> None:
        """Look, unless the last look is younger than `age` seconds."""
        ...

    async def fresh_turns(self) -> None:
        """Read the turns that have ended."""
        ...

    def snapshot(self, *, commands: bool = ...) -> Snapshot:
        """The figures of the last look."""
        ...

    def scrape(self) -> tuple[Snapshot, tuple[ClientFigures, ...]]:
        """The same, and what has gone since the last scrape."""
        ...

    def turns(self, since: int | None = ...) -> TurnPage:
        """A page of turns."""
        ...

    def number_at(self, time: float) -> int:
        """The number of the first turn that ended after that time of day."""
        ...


class Source:
    """What all listeners of one agent serve.

    Args:
        figures: the collector.
        status: what the agent serves, as plain values; it has a key `ready`.
        dcgm_names: add dcgm-exporter's names to the metrics.
    """

    def __init__(
        self, figures: Figures, status: Callable[[], Mapping[str, Any]], *, dcgm_names: bool = False
    ) -> None:
        self.figures = figures
        self._status, self._dcgm_names = status, dcgm_names
        self._states: dict[bool, tuple[float, bytes]] = {}
        self._took = 0.0

    @property
    def ready(self) -> bool:
        """All that is to be served is served."""
        return bool(self._status()["ready"])

    def status(self) -> bytes:
        """The agent's status, as JSON."""
        return json.dumps(self._status()).encode() + b"\n"

    async def state(self, *, commands: bool, age: float = 0.1) -> bytes:
        """A snapshot as JSON, no older than `age` seconds when it is made."""
        await self.figures.fresh(age)
        at, text = self._states.get(commands, (-1.0, b""))
        if at != self.figures.at:
            text = to_json(self.figures.snapshot(commands=commands))
            self._states[commands] = (self.figures.at, text)
        return text

    async def turns(self, since: int | None) -> TurnPage:
        """A page of turns."""
        await self.figures.fresh_turns()
        return self.figures.turns(since)

    async def metrics(self) -> bytes:
        """One scrape."""
        await self.figures.fresh()
        begun = time.perf_counter()
        snapshot, gone = self.figures.scrape()
        text = exposition(
            snapshot, gone, scrape_seconds=round(self._took, 6), dcgm_names=self._dcgm_names
        )
        self._took = time.perf_counter() - begun
        return text
