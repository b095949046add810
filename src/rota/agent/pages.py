"""What becomes of clients that are paged out and in: said in the log, and told to who asked for it.

The gatekeeper acts and has no log; its state says where everybody's memory is. Looked at only while
somebody may be paged, so that a node without paging pays nothing.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, TypeAlias

from rota.agent.logs import Logger
from rota.errors import RotaError
from rota.gatekeeper.client import NoGatekeeper
from rota.memory.sizes import shown

LOOK = 1.0
"""Seconds between two looks."""

SOON = 0.1
"""The same for somebody who waits for the end of a step."""

UNKNOWN = 5.0
"""Seconds in which a gatekeeper that starts anew must have heard of a client."""

State = Callable[[], Awaitable[Mapping[str, Any]]]
"""The gatekeeper's state; RotaError while there is none."""

Where: TypeAlias = Mapping[str, Any]
"""One client as the gatekeeper's state tells it under `paging`."""

RESIDENT: Where = {"place": "resident", "bytes": 0, "seconds": 0.0, "error": "", "asked": False}


@dataclass(frozen=True, slots=True)
class Step:
    """How far a page-out or page-in by hand has come.

    Attributes:
        place: where the client is.
        size: its memory in bytes.
        seconds: since it was asked for.
        short: bytes that must come free before it can come back.
        done: it is where it was to be.
    """

    place: str
    size: int
    seconds: float
    short: int = 0
    done: bool = False


class PageFailed(RotaError):
    """A client was not paged out or in."""


class Pages:
    """Watches the clients that are not simply on the GPU.

    Args:
        state: the gatekeeper's.
        log: where it is told.

    Attributes:
        wanted: somebody may be paged out.
    """

    def __init__(self, state: State, log: Logger) -> None:
        self._state, self._log = state, log
        self.wanted = False
        self._before: dict[str, Where] = {}

    async def run(self) -> None:
        """Look for ever."""
        while True:
            await asyncio.sleep(LOOK)
            if self.wanted or self._before:
                with suppress(RotaError):  # it is told elsewhere that there is no gatekeeper
                    self._tell((await self._state()).get("paging", {}))

    async def reached(self, ask: Callable[[], Awaitable[None]]) -> None:
        """Ask the gatekeeper, once one answers: it may be starting. Errors as its own."""
        for _ in range(round(UNKNOWN / SOON)):
            with suppress(NoGatekeeper):
                await ask()
                return
            await asyncio.sleep(SOON)
        await ask()

    async def follow(self, client: str, *, out: bool) -> AsyncIterator[Step]:
        """The steps of a client that was asked to go, or to come back, until it has.

        Raises:
            PageFailed: it has not, and why.
        """
        self.wanted, begun, goal = True, time.monotonic(), "out" if out else "resident"
        while True:
            state = await self._state()
            now = state.get("paging", {}).get(client, RESIDENT)
            seconds = time.monotonic() - begun
            known = bool(state["clients"].get(client, {}).get("pids"))
            _check(client, now, known or seconds < UNKNOWN, goal)
            done = known and now["place"] == goal and not now["asked"]
            yield Step(now["place"], now["bytes"], seconds, now.get("short", 0), done)
            if done:
                return
            await asyncio.sleep(SOON)

    def _tell(self, now: Mapping[str, Where]) -> None:
        for client in self._before.keys() | now.keys():
            old, new = self._before.get(client, RESIDENT), now.get(client, RESIDENT)
            if new["place"] != old["place"]:
                self._tell_place(client, old, new)
            elif new["error"] and new["error"] != old["error"]:
                self._log.warning("not paged out", client=client, reason=new["error"])
        self._before = dict(now)

    def _tell_place(self, client: str, old: Where, new: Where) -> None:
        if new["place"] == "lost":
            self._log.error("the driver lost a client", client=client, reason=new["error"])
        elif new["place"] == "out":
            seconds = round(new["seconds_out"], 2)
            self._log.info("paged out", client=client, size=shown(new["bytes"]), seconds=seconds)
        elif old["place"] in ("out", "held", "entering") and new["place"] == "resident":
            self._log.info("paged in", client=client, size=shown(old["bytes"]))


def _check(client: str, now: Where, known: bool, goal: str) -> None:
    if not known:
        raise PageFailed(f"{client} has ended", where=client)
    if now["place"] == "lost":
        raise PageFailed(now["error"], where=client, hint="end it; it cannot come back")
    if goal == "out" and now["place"] == "resident" and now["error"] and not now["asked"]:
        raise PageFailed(now["error"], where=client)
