"""Keeps the picture of who is on the GPUs, and says when it changes.

Some ten times a second the driver is asked for its processes (0.1 ms a GPU), less often where
nobody can come whom it would concern; the kubelet only when a process comes that no answer of it
explains, and every ten seconds. Looking has a thread, and asking the kubelet a task of its own: a
kubelet that hangs delays no newcomer.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import TypeAlias

import structlog

from rota.clients.holdings import Holdings
from rota.clients.join import join, unexplained
from rota.clients.picture import LocalJob, Picture, ProcessKey
from rota.clients.sightings import Look, Sightings
from rota.errors import KubeletError
from rota.kubelet.pod_resources import PodAllocation

RELIST = 10.0
"""Seconds after which the kubelet is asked although nothing calls for it."""

PERIOD = 0.09
"""Seconds from look to look: with the look itself, a newcomer is found within 100 ms."""

HURRY = 0.03
"""The same while a start must be seen before its context is made, since its room is held: with
somebody on the GPU, and for a while after replicas were given out."""

EMPTY = 0.5
"""The same while no process is on any GPU: the first one has nobody to take turns with."""

VACANT = 2.0
"""The same while nobody holds a replica either, so nobody is to come who would take turns."""

EXPECTED = 2 * RELIST
"""Seconds for which somebody is expected after a replica was given out: by then the kubelet says
who holds it."""

RETRY = 0.5
"""Seconds between two questions about the same newcomer."""

FIRST = 0.5
"""Seconds that the first picture waits for the kubelet's first answer."""

Lister: TypeAlias = Callable[[], Awaitable[Sequence[PodAllocation]]]
"""Every container of the node that holds a device; raises KubeletError where nobody can say."""

_NOBODY = frozenset[ProcessKey]()


class ClientWatch:
    """Watches the GPUs of one node.

    Args:
        sightings: looks at the GPUs.
        changed: called in the event loop with each new picture; never twice with the same.
        log: for who cannot be asked, and when they can be again.
        lister: asks the kubelet; None where there is none.
        jobs: the local jobs of now.
        hurry: a client that has no process on a GPU yet must be seen early when it starts.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        sightings: Sightings,
        changed: Callable[[Picture], None],
        log: structlog.typing.FilteringBoundLogger,
        *,
        lister: Lister | None = None,
        jobs: Callable[[], Sequence[LocalJob]] = tuple,
        hurry: Callable[[], bool] = lambda: False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Nothing is asked before `run`."""
        self._sightings = sightings
        self._changed = changed
        self._lister = lister
        self._jobs = jobs
        self._hurry = hurry
        self._clock = clock
        self._troubles = _Troubles(log)
        self._holdings = Holdings()
        self._picture = Picture()
        self._wake = asyncio.Event()
        self._asking: asyncio.Task[None] | None = None
        self._asked_at = float("-inf")
        self._asked_for: frozenset[ProcessKey] = _NOBODY
        self._answered = False
        self._expected = self._came = float("-inf")

    @property
    def picture(self) -> Picture:
        """The last one that was told; an empty one before the first."""
        return self._picture

    def wake(self) -> None:
        """Look now, and ask the kubelet: something was allocated, or a job came or went."""
        self._asked_at = float("-inf")
        self._came = self._clock()
        self._wake.set()

    def expect(self) -> None:
        """A replica was given out: its holder may come at any moment. Cheap, however often."""
        vacant = self._vacant
        self._expected = self._came = self._clock()
        if vacant:
            self._wake.set()

    async def run(self) -> None:
        """Watch for ever. What `changed` raises ends it; it may be run again."""
        try:
            self._ask_if_due(_NOBODY)
            if self._asking:
                await asyncio.wait({self._asking}, timeout=FIRST)
            while True:
                begun = self._clock()
                await self._look()
                await self._pause(begun + self._period() - self._clock())
        finally:
            if self._asking:
                self._asking.cancel()
                await asyncio.gather(self._asking, return_exceptions=True)

    def _period(self) -> float:
        picture = self._picture
        if picture.unmanaged or any(one.processes or one.starting for one in picture.clients):
            to_come = any(not one.processes for one in picture.clients)
            return HURRY if to_come and self._hurry() else PERIOD
        if picture.clients and self._hurry():
            return HURRY if self._clock() - self._came < EXPECTED else PERIOD
        return VACANT if self._vacant else EMPTY

    @property
    def _vacant(self) -> bool:
        """Nobody is on a GPU, nobody holds a replica, and nobody was given one a moment ago."""
        told = self._answered or self._lister is None
        expected = self._clock() - self._expected < EXPECTED
        return told and not expected and self._picture == Picture() and not self._jobs()

    async def _look(self) -> None:
        jobs = tuple(self._jobs())
        try:
            holders = None if self._vacant else {one.client for one in self._picture.clients}
            look = await asyncio.to_thread(self._sightings.look, jobs, self._clock(), holders)
        except OSError as error:
            self._troubles.say("the processes on the GPUs cannot be read", str(error))
            return
        self._troubles.say("the processes on the GPUs cannot be read", "")
        for gpu in look.seen:
            why = look.silent.get(gpu, "")
            self._troubles.say("the driver does not tell the processes", why, gpu=gpu)
        picture = self._join(look, jobs)
        pending = {one.process for one in picture.unmanaged if one.pending}
        self._ask_if_due(frozenset(pending | unexplained(picture, look.starting)))
        if picture != self._picture:
            self._changed(picture)
            self._picture = picture

    def _join(self, look: Look, jobs: Sequence[LocalJob]) -> Picture:
        places = (*look.seen.values(), *look.starting.values())
        everybody = (one for sightings in places for one in sightings)
        alive = {one.owner.container for one in everybody if one.owner.container}
        return join(look.seen, self._holdings.now(alive), jobs, look.young, look.starting)

    async def _pause(self, seconds: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(max(0.0, seconds)):
                await self._wake.wait()
        self._wake.clear()

    def _ask_if_due(self, pending: frozenset[ProcessKey]) -> None:
        """Ask the kubelet if somebody is new, or nobody has asked for long."""
        if self._lister is None or (self._asking and not self._asking.done()):
            return
        ago = self._clock() - self._asked_at
        soon = pending or not self._answered
        if pending - self._asked_for or ago >= (RETRY if soon else RELIST):
            self._asked_at, self._asked_for = self._clock(), pending
            self._asking = asyncio.create_task(self._ask(self._lister), name="pod resources")

    async def _ask(self, lister: Lister) -> None:
        self._answered = False
        try:
            self._holdings.listed(await lister())
        except (KubeletError, OSError) as error:
            self._troubles.say("cannot know which pods hold replicas", str(error))
            return
        self._answered = True
        self._troubles.say("cannot know which pods hold replicas", "")
        self._wake.set()


class _Troubles:
    """Says once that something does not work, and once that it works again."""

    def __init__(self, log: structlog.typing.FilteringBoundLogger) -> None:
        self._log = log
        self._now: set[tuple[str, tuple[tuple[str, str], ...]]] = set()

    def say(self, what: str, why: str, **where: str) -> None:
        """`why` is empty while all is well."""
        key = (what, tuple(where.items()))
        if why and key not in self._now:
            self._now.add(key)
            self._log.warning(what, reason=why, **where)
        elif not why and key in self._now:
            self._now.remove(key)
            self._log.info("well again", was=what, **where)
