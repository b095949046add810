"""A play for the page: clients that take turns by the clock, and a server of it in a thread."""

from __future__ import annotations

import asyncio
import threading
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from rota.figures.model import (
    ClientFigures,
    GpuFigures,
    Kind,
    Snapshot,
    State,
    TurnFigures,
    TurnPage,
)
from rota.web.access import Access, Token
from rota.web.address import Address, listen
from rota.web.server import Listener, WebServer
from rota.web.source import Source

GIB = 1 << 30
LENGTH = 0.1
"""Seconds that a turn lasts; the next begins at once."""

NAMES = ("trainer-a", "trainer-b", "<img src=x onerror=alert(1)>")


@dataclass
class Play:
    """Figures that are what the time of day makes them."""

    emulated: bool = True
    turns_off: str = ""
    viewers: int = 0
    began: float = field(default_factory=lambda: time.time() - 20)

    @property
    def at(self) -> float:
        """When the last look was: now."""
        return time.time()

    async def fresh(self, age: float = 0.1) -> None:
        """They always are."""

    async def fresh_turns(self) -> None:
        """They always are."""

    def snapshot(self, *, commands: bool = True) -> Snapshot:
        now = time.time()
        holder = int((now - self.began) / LENGTH) % len(NAMES)
        clients = [self._client(n, name, n == holder, now) for n, name in enumerate(NAMES)]
        names = [one.client for one in clients]
        gpu = GpuFigures(
            "GPU-a", 0, product="NVIDIA H200", replicas=4, turns_off=self.turns_off,
            holder=names[holder], utilization=0.98, temperature_celsius=61.0, power_watts=412.0,
            memory_total_bytes=140 * GIB, memory_used_bytes=60 * GIB,
        )  # fmt: skip
        other = replace(
            gpu, uuid="GPU-b", index=1, holder="", healthy=False, why_unhealthy="Xid 79"
        )
        lonely = replace(clients[0], client="teaching/notebook/main", pod="notebook", gpu="GPU-b",
                         namespace="teaching", state=State.UNGATED, why="Xid 79", turn_since=None)  # fmt: skip
        gpus = (gpu, other)
        return Snapshot(now, "node-1", self.emulated, "580", True, gpus, (*clients, lonely))

    def _client(self, number: int, name: str, open_: bool, now: float) -> ClientFigures:
        return ClientFigures(
            f"research/{name}/main", "GPU-a", Kind.POD, "research", name, "main",
            state=State.TURN if open_ else State.WAITS, share=0.25, utilization=0.33,
            turn_since=self._start(int((now - self.began) / LENGTH)) if open_ else None,
            wait_p95=0.2, memory_bytes=(5 + number) * GIB, memory_limit_bytes=35 * GIB,
        )  # fmt: skip

    def _start(self, number: int) -> float:
        return self.began + number * LENGTH

    def _ended(self) -> int:
        return int((time.time() - self.began) / LENGTH)

    def turns(self, since: int | None = None) -> TurnPage:
        ended = self._ended()
        first = max(0, ended - 1000) if since is None else min(since, ended)
        return TurnPage(first, ended, tuple(self._turn(n) for n in range(first, ended)))

    def number_at(self, at: float) -> int:
        return max(0, int((at - self.began) / LENGTH))

    def scrape(self) -> tuple[Snapshot, tuple[ClientFigures, ...]]:
        return self.snapshot(), ()

    def _turn(self, number: int) -> TurnFigures:
        start = self._start(number)
        name = NAMES[number % len(NAMES)]
        return TurnFigures(
            number, f"research/{name}/main", "GPU-a", start, start + LENGTH, "expired",
            2 * LENGTH, 0.01, LENGTH,
        )  # fmt: skip


class Theatre:
    """Serves a play on a port of its own, from a thread of its own."""

    def __init__(self, play: Any, token: Path | None = None) -> None:
        self.play, self._token, self.port = play, token, 0
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._thread.start()
        self.open()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}/"

    def open(self) -> None:
        """Listen, where it listened before if it did."""
        self._sock = listen(Address("127.0.0.1", self.port))
        self._sock.setblocking(False)
        self.port = int(self._sock.getsockname()[1])
        server = WebServer(Source(self.play, lambda: {"ready": True}), "0.1")
        token = Token(self._token) if self._token else None
        listener = Listener(self._sock, Access(True, token), None)
        self._task = asyncio.run_coroutine_threadsafe(server.run(listener), self._loop)

    def shut(self) -> None:
        """Hang up on everybody."""
        asyncio.run_coroutine_threadsafe(self._end(), self._loop).result(20)
        self._sock.close()

    async def _end(self) -> None:
        self._task.cancel()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        await asyncio.wait(others, timeout=5) if others else None
        for task in others:
            task.cancel()

    def close(self) -> None:
        """No more of it."""
        self.shut()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
