"""Which replicas are held by pods, from two sources that each know only half.

The kubelet knows what every pod holds, but shows a new pod a moment late, and may not answer.
We know what we handed out, but not when it was given back, nor what was handed out before we
started. Together: what the kubelet says, and what we gave in the last seconds; without the
kubelet's word, everything that we gave.
"""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping
from typing import TypeAlias

import structlog

from rota.errors import KubeletError

InUse: TypeAlias = Callable[[], Awaitable[Mapping[str, Collection[str]]]]
"""Resource → ids that pods hold now; raises KubeletError where that cannot be known."""

GRACE = 10.0
"""Seconds for which an allocation counts as held though the kubelet does not show it yet."""


class Holders:
    """Remembers who may hold what.

    Args:
        in_use: asks the kubelet; None where nobody can be asked.
        log: for the moment when the kubelet's word is lost or found again.
        timeout: seconds that the question may take.
        clock: monotonic seconds.
        heard: called after every allocation.
    """

    def __init__(
        self,
        in_use: InUse | None,
        log: structlog.typing.FilteringBoundLogger,
        *,
        timeout: float = 1.0,
        clock: Callable[[], float] = time.monotonic,
        heard: Callable[[], None] = lambda: None,
    ) -> None:
        self._in_use = in_use
        self._log = log
        self._timeout = timeout
        self._clock = clock
        self._heard = heard
        self._given: defaultdict[str, dict[str, float]] = defaultdict(dict)
        self._answered = True

    def given(self, resource: str, ids: Iterable[str]) -> None:
        """Note an allocation of ours."""
        self._given[resource].update(dict.fromkeys(ids, self._clock()))
        self._heard()

    async def held(self) -> Mapping[str, frozenset[str]]:
        """Resource → ids that pods hold, as well as can be known now. Never raises."""
        shown = await self._ask()
        if shown is not None:
            self._forget(shown)
        resources = {*self._given, *(shown or {})}
        return {
            name: frozenset(self._given.get(name, ())).union((shown or {}).get(name, ()))
            for name in resources
        }

    def _forget(self, shown: Mapping[str, Collection[str]]) -> None:
        """Drop what we gave, the kubelet does not show, and is no longer new."""
        old = self._clock() - GRACE
        for resource, given in self._given.items():
            seen = set(shown.get(resource, ()))
            for id_ in [id_ for id_, when in given.items() if when < old and id_ not in seen]:
                del given[id_]

    async def _ask(self) -> Mapping[str, Collection[str]] | None:
        if self._in_use is None:
            return None
        try:
            async with asyncio.timeout(self._timeout):
                shown = await self._in_use()
        except (KubeletError, TimeoutError, OSError) as error:
            if self._answered:
                self._log.warning("cannot know which pods hold replicas", reason=str(error))
            self._answered = False
            return None
        if not self._answered:
            self._log.info("the kubelet tells again which pods hold replicas")
        self._answered = True
        return shown
