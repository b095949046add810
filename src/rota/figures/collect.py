"""Keeps the figures of one node: looks once a second, and composes a snapshot when asked.

One look asks the gatekeeper once for its state, reads the turns that had ended by then, and asks
the driver. Everything that adds up (GPU seconds, waits) adds up here, so that a gatekeeper that is
replaced loses nothing but the turn that was under way.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections import defaultdict, deque
from collections.abc import Iterable, Mapping
from dataclasses import replace

from rota.clients.picture import ProcessKey
from rota.errors import RotaError
from rota.figures import own
from rota.figures.compose import Holder, Known, compose, holders, waited_now
from rota.figures.facts import Door, Facts, Node
from rota.figures.fares import GateState
from rota.figures.gone import Gone
from rota.figures.history import TurnHistory
from rota.figures.model import ClientFigures, OwnFigures, Snapshot, TurnPage
from rota.figures.readings import Reading, read
from rota.figures.seconds import GpuSeconds, Key
from rota.figures.waits import AllWaits
from rota.scheduling.log import Turn

PERIOD = 1.0
"""Seconds from look to look."""

FRESH = 0.1
"""Seconds for which a look is fresh enough for whoever asks."""

_PAGES = 32
"""Pages of turns that one look reads at most: twice what a gatekeeper keeps."""


class Collector:
    """The figures of one node.

    Attributes:
        viewers: how many read the stream now; whoever serves it says so.
    """

    def __init__(self, node: Node, door: Door) -> None:
        """Nothing is asked before the first look."""
        self._history = TurnHistory()
        self.viewers = 0
        self._node, self._door = node, door
        self._started = time.time()
        self._seconds, self._waits, self._gone = GpuSeconds(), AllWaits(), Gone()
        self._known = Known(0.0, Facts(), GateState(), {}, {}, OwnFigures())
        self._busy: defaultdict[str, float] = defaultdict(float)
        self._commands: dict[ProcessKey, str] = {}
        self._looked = 0.0
        self._number = self._starts = 0
        self._offset = time.time() - time.monotonic()
        self._unsettled: deque[tuple[int, Turn]] = deque()
        self._looking = asyncio.Lock()

    @property
    def at(self) -> float:
        """When the last look was, in seconds since 1970; 0 before the first."""
        return self._known.at

    async def run(self) -> None:
        """Look until cancelled."""
        while True:
            await self.fresh(0.0)
            await asyncio.sleep(PERIOD)

    async def fresh(self, age: float = FRESH) -> None:
        """Look, unless the last look is no older than `age` seconds."""
        async with self._looking:
            if not self._looked or time.monotonic() - self._looked >= age:
                await self._look()

    async def fresh_turns(self) -> None:
        """Read the turns that have ended; far cheaper than a look."""
        async with self._looking:
            await self._read_turns()

    def snapshot(self, *, commands: bool = True) -> Snapshot:
        """The figures of the last look, with or without the command lines of processes."""
        known = self._known if commands else replace(self._known, commands={})
        return compose(known, self._seconds, self._waits)

    def scrape(self) -> tuple[Snapshot, tuple[ClientFigures, ...]]:
        """The figures of the last look, and those of clients that have gone since the last scrape."""
        snapshot = self.snapshot()
        gone = tuple(self._final(figures) for figures in self._gone.take())
        self._forget()
        return snapshot, gone

    def turns(self, since: int | None = None) -> TurnPage:
        """The turns from that number on, a page of them; the last ones where None."""
        return self._history.page(since)

    def number_at(self, time: float) -> int:
        """The number of the first turn that ended after `time`, in seconds since 1970."""
        return self._history.number_at(time)

    async def _look(self) -> None:
        facts = self._node.facts()
        gates = await self._gates(facts)
        turns = await self._turns(gates.turns)
        readings = await asyncio.to_thread(read, self._door, [gpu.uuid for gpu in facts.gpus])
        now = time.monotonic()
        self._add(facts, gates, turns, readings, now)
        self._add_busy(readings, now - self._looked if self._looked else 0.0)
        self._looked = now
        self._remember(facts, gates, readings)

    async def _gates(self, facts: Facts) -> GateState:
        self._mind_gatekeeper(facts)
        try:
            gates = GateState(await self._node.state())
        except RotaError:
            return GateState()
        self._offset = gates.offset
        return gates

    def _mind_gatekeeper(self, facts: Facts) -> None:
        """A new gatekeeper numbers its turns from 0, and so do we."""
        if facts.gatekeeper_starts != self._starts:
            self._starts, self._number = facts.gatekeeper_starts, 0
            self._seconds.restart()
            self._unsettled.clear()

    async def _turns(self, until: int) -> list[Turn]:
        """The turns with a number below `until` that were not settled yet."""
        if self._number < until:
            await self._read_turns()
        found: list[Turn] = []
        while self._unsettled and self._unsettled[0][0] < until:
            found.append(self._unsettled.popleft()[1])
        return found

    async def _read_turns(self) -> None:
        """Read the gatekeeper's log to its end."""
        self._mind_gatekeeper(self._node.facts())
        try:
            for _ in range(_PAGES):
                following, page = await self._node.turns(self._number)
                first = following - len(page)
                self._unsettled += enumerate(page, first)
                self._history.add(page, self._offset)
                self._number = following
                if not page:
                    return
        except RotaError:
            return  # there is none, or it has just ended; what it said before counts

    def _add(
        self,
        facts: Facts,
        gates: GateState,
        turns: list[Turn],
        readings: Mapping[str, Reading],
        now: float,
    ) -> None:
        here = list(holders(facts))
        self._seconds.ended(turns)
        self._waits.ended(turns)
        owners = {one.key: [key.pid for key in one.processes] for one in here}
        served = {gpu: r.served for gpu, r in readings.items() if r.served is not None}
        at = gates.at if gates.at is not None else now
        self._seconds.look(at, gates.fares(), owners, served, noted=not facts.emulated)
        for one in here:
            standing = gates.standing(*one.key)
            waited = standing.waited if standing.since is not None else 0.0
            self._waits[one.key].now(waited + waited_now(standing, at))
        self._see_off(here, now)

    def _see_off(self, here: Iterable[Holder], now: float) -> None:
        """Who is gone is kept until it was scraped once."""
        alive = {one.key for one in here}
        self._gone.back(alive)
        if any(one.key not in alive for one in holders(self._known.facts)):
            before = self.snapshot().clients
            self._gone.add((one for one in before if (one.client, one.gpu) not in alive), now)
        self._forget(alive)

    def _forget(self, alive: Iterable[Key] | None = None) -> None:
        """Let go of all that belongs to nobody who is here or is still to be scraped."""
        keys = set(alive) if alive is not None else {h.key for h in holders(self._known.facts)}
        keys |= self._gone.keys
        self._seconds.forget([key for key in self._seconds.keys if key not in keys])
        for key in [key for key in self._waits if key not in keys]:
            del self._waits[key]

    def _final(self, figures: ClientFigures) -> ClientFigures:
        key = (figures.client, figures.gpu)
        waits = self._waits[key]
        return replace(
            figures,
            gpu_seconds_total=max(figures.gpu_seconds_total, self._seconds.total(key)),
            turn_seconds_total=max(figures.turn_seconds_total, self._seconds.turns(key)),
            wait_seconds_total=waits.total,
            turns=dict(waits.ends),
            waits=waits.histogram,
        )

    def _add_busy(self, readings: Mapping[str, Reading], seconds: float) -> None:
        for gpu, reading in readings.items():
            if reading.vitals.utilization is not None:
                self._busy[gpu] += reading.vitals.utilization * seconds

    def _remember(self, facts: Facts, gates: GateState, readings: Mapping[str, Reading]) -> None:
        keys = {key for one in facts.picture.clients for key in one.processes}
        keys |= {one.process for one in facts.picture.unmanaged}
        self._commands = {key: self._commands.get(key) or own.command(key.pid) for key in keys}
        figures = self._own(facts)
        self._known = Known(
            time.time(), facts, gates, readings, dict(self._busy), figures, self._commands
        )

    def _own(self, facts: Facts) -> OwnFigures:
        agent, gatekeeper = own.cost(os.getpid()), own.cost(facts.gatekeeper_pid)
        return OwnFigures(
            version=facts.version,
            started=self._started,
            gatekeeper_starts=facts.gatekeeper_starts,
            gatekeeper_problem=facts.gatekeeper_problem,
            agent_cpu_seconds=agent[0],
            gatekeeper_cpu_seconds=gatekeeper[0],
            agent_memory_bytes=agent[1],
            gatekeeper_memory_bytes=gatekeeper[1],
            config_generation=facts.config.generation,
            config_refused=facts.config.refused,
            config_refused_now=facts.config.refused_now,
            config_findings=facts.config.findings,
            viewers=self.viewers,
        )
