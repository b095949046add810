"""Plays scenarios: every way of sharing, one after the other, round after round.

What goes wrong in one measurement is kept in its place and ends no other. The rounds are the outer
loop: a run that is cut short has less of everything rather than nothing of the last scenarios.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field

from rota.bench.actor import Actor
from rota.bench.scenarios import MODES, MPS, NEWCOMER, TURNS, Part, Scenario
from rota.bench.slots import Program, Slot
from rota.bench.stage import Stage
from rota.errors import RotaError

SETTLE = 0.4
"""Seconds between a change of the way of sharing and the measurement."""

TOO_LONG = 90.0
"""Seconds beyond its own length after which a measurement is given up."""

_NEWCOMER = Part(NEWCOMER)
_STAYS = 0.5
_LOOK = 0.1
"""As often as an agent looks who is on the GPU, in seconds."""


@dataclass(slots=True)
class Run:
    """A whole run.

    Attributes:
        stage: where.
        scenarios: what.
        rounds: how often.
        until: no measurement begins after this moment of the monotonic clock.
        said: called with each slot as it is done.
        slots: what was measured.
    """

    stage: Stage
    scenarios: Sequence[Scenario]
    rounds: int
    until: float
    said: Callable[[Slot], None]
    slots: list[Slot] = field(default_factory=list)

    async def play(self) -> None:
        """All rounds of all scenarios, as far as there is time."""
        for number in range(self.rounds):
            for scenario in self.scenarios:
                if time.monotonic() < self.until:
                    await self._round(scenario, number)

    async def _round(self, scenario: Scenario, number: int) -> None:
        """Each way once; which is first changes from round to round."""
        ways = [mode for mode in MODES if mode != MPS]
        turn = number % len(ways)
        await self._cast(scenario, number, ways[turn:] + ways[:turn])
        if self.stage.mps.start():
            await self._cast(scenario, number, [MPS])

    async def _cast(self, scenario: Scenario, number: int, modes: Sequence[str]) -> None:
        left = list(modes)
        try:
            async with AsyncExitStack() as stack:
                cast = self.stage.cast(scenario, mps=modes == [MPS])
                actors = await stack.enter_async_context(cast)
                while left:
                    slot = await self._slot(scenario, left.pop(0), number, actors)
                    self._keep(slot)
        except (RotaError, OSError, ValueError) as error:
            if modes == [MPS]:
                self.stage.mps.off = f"programs do not run under it: {error}"
            for mode in modes if len(left) == len(modes) else left:
                self._keep(Slot(scenario.name, mode, number, error=str(error)))

    async def _slot(
        self, scenario: Scenario, mode: str, number: int, actors: Sequence[Actor]
    ) -> Slot:
        try:
            async with asyncio.timeout(scenario.lasts(mode) + TOO_LONG):
                return await measure(self.stage, scenario, mode, number, actors)
        except TimeoutError:
            why = "took too long"
        except (RotaError, OSError, ValueError) as error:
            why = str(error)
        return Slot(scenario.name, mode, number, error=why)

    def _keep(self, slot: Slot) -> None:
        self.slots.append(slot)
        self.said(slot)


async def measure(
    stage: Stage, scenario: Scenario, mode: str, number: int, actors: Sequence[Actor]
) -> Slot:
    """One scenario shared in one way, once.

    Raises:
        RotaError: a program or the gatekeeper failed.
    """
    if mode != MPS:
        await stage.share_by(mode)
    async with _newcomers(stage, scenario, mode) as came:
        await asyncio.sleep(scenario.settles if mode in TURNS else SETTLE)
        since = await _turns_so_far(stage) if mode in TURNS else 0
        begin, cpu = time.monotonic(), stage.gatekeeper_cpu()
        await asyncio.sleep(scenario.lasts(mode))
        end, cpu = time.monotonic(), stage.gatekeeper_cpu() - cpu
        ended = await _ended(stage, since) if mode in TURNS else {}
    for actor in actors:
        if actor.process.poll() is not None:
            raise actor.failure()
    if mode in TURNS:
        await stage.share_by(mode)  # a client that was given up meanwhile took no turns
    programs = tuple(_program(actor, begin, end) for actor in (*actors, *came))
    starts = [r.ready - a.born for a in came if (r := a.record()).ready is not None]
    core = cpu / (end - begin) if mode != MPS else 0.0
    return Slot(
        scenario.name, mode, number, end - begin, programs, core, ended, tuple(starts), len(came)
    )


def _program(actor: Actor, begin: float, end: float) -> Program:
    """What the program did between two moments, by its own record."""
    record, part = actor.record(), actor.part
    rate = record.work(begin, end) * part.kernel / (end - begin)
    return Program(part.role, part.weight, rate, tuple(record.latencies(begin, end)))


async def _turns_so_far(stage: Stage) -> int:
    return int((await stage.supervisor.state())["turns"])


async def _ended(stage: Stage, since: int) -> dict[str, int]:
    """How often turns ended for each reason: told to explain a figure, never used to make one."""
    found: Counter[str] = Counter()
    while True:
        following, page = await stage.supervisor.turns(since)
        found.update(str(turn.why) for turn in page)
        if not page or following <= since:
            return dict(found)
        since = following


@asynccontextmanager
async def _newcomers(stage: Stage, scenario: Scenario, mode: str) -> AsyncIterator[list[Actor]]:
    """Short programs that come while the scenario lasts; the list grows."""
    came: list[Actor] = []
    coming = asyncio.create_task(_come(stage, scenario, mode, came))
    try:
        yield came
    finally:
        coming.cancel()
        with suppress(asyncio.CancelledError):
            await coming
        for actor in came:
            await asyncio.to_thread(actor.end)


async def _come(stage: Stage, scenario: Scenario, mode: str, came: list[Actor]) -> None:
    """Start one every so often; tell the gatekeeper of those on the GPU, as an agent would."""
    told = len(stage.actors)
    due = time.monotonic()
    environment = stage.mps.environment if mode == MPS else stage.environment
    arriving: list[Actor] = []
    try:
        while scenario.newcomers:
            if time.monotonic() >= due:
                came.append(stage.start(_NEWCOMER, environment, _STAYS))
                arriving.append(came[-1])
                due += scenario.newcomers
            arriving = _arrive(stage, arriving, mode)
            await asyncio.sleep(_LOOK)
    finally:
        del stage.actors[told:]


def _arrive(stage: Stage, arriving: list[Actor], mode: str) -> list[Actor]:
    """Tell the gatekeeper who has arrived; who is still on the way is returned."""
    here = [actor for actor in arriving if actor.record().ready is not None]
    if mode != MPS:
        stage.actors[:] = [a for a in (*stage.actors, *here) if a.process.poll() is None]
        stage.tell()
    return [actor for actor in arriving if actor not in here and actor.process.poll() is None]
