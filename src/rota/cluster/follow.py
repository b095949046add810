"""Follows a view for ever: lists it once, then watches, and misses nothing in between.

A watch that ends goes on from the last version it told; one whose version the server has forgotten
(410) lists anew; a server that is away is left alone longer and longer. Whatever happens, the sink
keeps what it was told last: a node works on from what is known.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Protocol

from rota.cluster.door import Api, Away, Change, ClusterError, Forbidden, Gone, Object, View
from rota.cluster.pace import FIRST, LACKING, LONGEST, Backoff, Pace
from rota.cluster.troubles import Troubles

WATCH = (300.0, 600.0)
"""Seconds that one watch lasts: between these, by chance, so that nodes do not ask in step."""


class Sink(Protocol):
    """Who is told."""

    def replaced(self, objects: Sequence[Object]) -> None:
        """These are all there are."""
        ...

    def changed(self, change: Change) -> None:
        """One was added, modified or deleted."""
        ...

    def denied(self) -> None:
        """The right to see them is missing."""
        ...


@dataclass(frozen=True, slots=True)
class Timing:
    """How a view is followed. All in seconds.

    Attributes:
        first: left alone after the first failure.
        longest: left alone after many.
        lacking: left alone where a right is missing.
        watch: the shortest and the longest that one watch lasts.
    """

    first: float = FIRST
    longest: float = LONGEST
    lacking: float = LACKING
    watch: tuple[float, float] = WATCH


@dataclass(slots=True)
class Follow:
    """One view that is followed.

    Attributes:
        api: the door.
        view: what is followed.
        sink: who is told.
        pace: how often questions may be asked.
        troubles: where failures are told, each once.
        what: what does not work while this fails, such as `annotations of pods are not read`.
        timing: how long to wait for what.
        settled: set once it was listed, or is known to be forbidden or away.
        forbidden: the right is missing.
    """

    api: Api
    view: View
    sink: Sink
    pace: Pace
    troubles: Troubles
    what: str
    timing: Timing = field(default_factory=Timing)
    settled: asyncio.Event = field(default_factory=asyncio.Event)
    forbidden: bool = False
    _version: str = ""
    _fresh: bool = False

    async def run(self) -> None:
        """Follow until cancelled."""
        backoff = Backoff(self.timing.first, self.timing.longest)
        while True:
            try:
                await self.pace.wait()
                await (self._watch(backoff) if self._version else self._list())
            except Gone:
                self._version, self._fresh = "", True
            except ClusterError as error:
                self._fail(error)
                await asyncio.sleep(self._pause(error, backoff))

    async def _list(self) -> None:
        listing = await self.api.list(self.view, fresh=self._fresh)
        self.forbidden = False
        self.sink.replaced(listing.items)
        self._version, self._fresh = listing.version, False
        self.troubles.say(self.what)
        self.settled.set()

    async def _watch(self, backoff: Backoff) -> None:
        seconds = random.uniform(*self.timing.watch)
        async with aclosing(self.api.watch(self.view, self._version, seconds)) as changes:
            async for change in changes:
                if change.what != "BOOKMARK":
                    self.sink.changed(change)
                self._version = change.version or self._version
                self._well(backoff)
        self._well(backoff)

    def _well(self, backoff: Backoff) -> None:
        backoff.reset()
        self.troubles.say(self.what)

    def _fail(self, error: ClusterError) -> None:
        self.forbidden = isinstance(error, Forbidden)
        self.troubles.say(self.what, str(error))
        self.settled.set()
        if self.forbidden:
            self.sink.denied()

    def _pause(self, error: ClusterError, backoff: Backoff) -> float:
        if isinstance(error, Forbidden):
            return self.timing.lacking * random.uniform(1.0, 1.5)
        return backoff.next(error.after if isinstance(error, Away) else None)
