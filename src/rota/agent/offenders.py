"""Who uses more memory than its limit: told once, and, where the config says so, ended in time.

Where limits are held nobody gets there but by a start that was not seen. Where they are only
watched (`enforce: report`, or no turns), the worst offender can be ended before the GPU is full.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeAlias

from rota.agent.logs import Logger
from rota.errors import RotaError
from rota.memory.limits import Row
from rota.memory.report import Offender, low_water, offenders, to_evict

LOOK = 0.5
"""Seconds between two looks."""

End: TypeAlias = Callable[[str], Awaitable[None]]
"""Ends a client, however long that takes; RotaError if it cannot be ended."""


class Offenders:
    """Looks after who is over its limit.

    Args:
        state: the gatekeeper's.
        log: where it is told.
        end: ends a client; None where nobody can.

    Attributes:
        evict: the config wants the worst offender ended before a GPU is full.
        looks: there is something to look at.
        context: what a context takes, in bytes.
        seen: how often a client was found to have gone over its limit.
        ended: how many were ended.
    """

    def __init__(
        self, state: Callable[[], Awaitable[Mapping[str, Any]]], log: Logger, end: End | None
    ) -> None:
        self._state, self._log, self._end = state, log, end
        self.evict = False
        self.looks = False
        self.context = 0
        self.seen = 0
        self.ended = 0
        self._told: set[tuple[str, str]] = set()
        self._ending: dict[str, asyncio.Task[None]] = {}

    async def run(self) -> None:
        """Look for ever."""
        try:
            while True:
                await asyncio.sleep(LOOK)
                if self.looks:
                    await self._look()
        finally:
            for task in self._ending.values():
                task.cancel()

    async def _look(self) -> None:
        try:
            tables = (await self._state())["memory"]
        except RotaError:
            return  # it is told elsewhere that there is no gatekeeper
        for gpu, table in tables.items():
            rows = [Row(client, **row) for client, row in table["clients"].items()]
            self._tell(gpu, offenders(rows))
            if self.evict and table["enforce"] == "report":
                low = low_water(table["total"], self.context)
                if worst := to_evict(rows, table["free"], low, self._ending):
                    self._begin(gpu, worst)

    def _tell(self, gpu: str, found: tuple[Offender, ...]) -> None:
        now = {(gpu, one.client): one for one in found}
        for key, one in now.items():
            if key not in self._told:
                self.seen += 1
                self._log.warning(
                    "over its memory limit", client=one.client, gpu=gpu, what=str(one)
                )
        self._told = {key for key in self._told if key[0] != gpu} | set(now)

    def _begin(self, gpu: str, worst: Offender) -> None:
        if self._end is None:
            return
        self._log.error(
            "the GPU is nearly full: its worst offender is ended", gpu=gpu, what=str(worst)
        )
        task = asyncio.create_task(self._finish(worst.client, self._end))
        self._ending[worst.client] = task

    async def _finish(self, client: str, end: End) -> None:
        try:
            await end(client)
            self.ended += 1
        except RotaError as error:
            self._log.error("it could not be ended", client=client, reason=str(error))
        finally:
            self._ending.pop(client, None)
