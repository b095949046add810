"""Where scenarios are played: a GPU, one gatekeeper that is told its clients by hand, programs."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import ExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from rota.bench.actor import READY, Actor, ProgramFailed, program_command, start
from rota.bench.devices import EMULATED
from rota.bench.mps import Mps
from rota.bench.scenarios import DRIVER, OVERLAPPED, Part, Scenario
from rota.emulation import driver
from rota.errors import GpuError, RotaError
from rota.gatekeeper.client import NoGatekeeper
from rota.gatekeeper.messages import ClientSpec, Node, Settings
from rota.gatekeeper.supervisor import Supervisor
from rota.model import Inventory
from rota.scheduling.terms import Rules, Share

_POLL = 0.02
_FAREWELL = 10.0


class NoTurns(RotaError):
    """The gatekeeper did not do what was measured, so there is nothing to measure."""


@dataclass(slots=True)
class Stage:
    """What is there for a whole run.

    Attributes:
        folder: a short one, for everything.
        gpu: UUID of the GPU.
        workload: `ptx`, `torch` or `emulated`.
        environment: what a program needs to find the GPU.
        supervisor: keeps the gatekeeper.
        mps: the MPS daemon.
        quantum: seconds.
        rate: rounds a second of the device, as one program alone measured it.
        mode: how the GPU is shared now.
        actors: the programs that are on the GPU.
    """

    folder: Path
    gpu: str
    workload: str
    environment: Mapping[str, str]
    supervisor: Supervisor
    mps: Mps
    quantum: float
    rate: float = 0.0
    mode: str = DRIVER
    actors: list[Actor] = field(default_factory=list)
    started: int = 0

    async def measure_rate(self) -> None:
        """Ask a program that is alone how many rounds make a second.

        Raises:
            ProgramFailed: it cannot tell.
        """
        command = (*program_command(self.workload, 0.0), "rate")
        environment = {**os.environ, **self.environment}
        try:
            ended = await asyncio.to_thread(_ask, command, environment)
        except subprocess.TimeoutExpired:
            raise ProgramFailed("says nothing", where=self.workload) from None
        if ended.returncode:
            raise ProgramFailed(ended.stderr.strip()[-300:], where=self.workload)
        self.rate = float(json.loads(ended.stdout)["rate"])

    def start(self, part: Part, environment: Mapping[str, str], life: float = 300.0) -> Actor:
        """Start one program more; nobody is told of it yet."""
        self.started += 1
        name = f"bench/{part.role}-{self.started}"
        command = program_command(self.workload, self.rate)
        out = self.folder / f"{self.started}.jsonl"
        return start(name, part, command, out, environment, life)

    @asynccontextmanager
    async def cast(self, scenario: Scenario, *, mps: bool = False) -> AsyncIterator[list[Actor]]:
        """The scenario's programs on the GPU, gone afterwards whatever happens.

        Raises:
            ProgramFailed: one of them does not get there.
        """
        environment = self.mps.environment if mps else self.environment
        self.mode = DRIVER
        actors: list[Actor] = []
        with ExitStack() as ending:
            for part in scenario.parts:
                actors.append(self.start(part, environment))
                ending.callback(actors[-1].end)
            for actor in actors:
                await actor.ready()
            self.actors = [] if mps else actors
            try:
                yield actors
            finally:
                self.actors, self.mode = [], DRIVER
                self.tell()

    def tell(self) -> None:
        """Tell the gatekeeper who is on the GPU now, and how it is shared."""
        specs = [self._spec(actor) for actor in self.actors]
        handing = self.mode if self.mode != DRIVER else OVERLAPPED
        settings = Settings(
            "driver" if self.mode == DRIVER else "exclusive",
            "disjoint" if handing == "disjoint" else "overlapped",
            Rules(quantum=self.quantum),
        )
        self.supervisor.tell(Node(settings, tuple(spec for spec in specs if spec)))

    def _spec(self, actor: Actor) -> ClientSpec | None:
        process = actor.identity
        if process is None:
            return None
        share = {self.gpu: Share(weight=actor.part.weight)}
        return ClientSpec(actor.name, share, frozenset({process}))

    async def share_by(self, mode: str) -> None:
        """Share the GPU that way from now on, and wait until the gatekeeper does.

        Raises:
            NoTurns: it does not, or it leaves a client out.
        """
        self.mode = mode
        self.tell()
        end = time.monotonic() + READY
        while why := await self._amiss():
            if gone := next((a for a in self.actors if a.process.poll() is not None), None):
                raise gone.failure()
            if time.monotonic() > end:
                raise NoTurns(why, where=mode)
            await asyncio.sleep(_POLL)

    async def _amiss(self) -> str:
        """What of the gatekeeper's state is not as it was told; empty if nothing is."""
        try:
            state = await self.supervisor.state()
        except NoGatekeeper as error:
            return self.supervisor.problem or str(error)
        if self.mode == DRIVER:
            return "" if state["mode"] == "driver" else "still takes turns"
        if state["mode"] != "exclusive" or state["handing"] != self.mode or state["off"]:
            return str(state["off"] or "still shares in another way")
        return self._left_out(state["clients"])

    def _left_out(self, clients: Mapping[str, Mapping[str, str]]) -> str:
        for actor in self.actors:
            if actor.name not in clients:
                return f"does not know {actor.name} yet"
            if why := clients[actor.name]["ungated"]:
                return f"{actor.name} takes no turns: {why}"
        return ""

    def gatekeeper_cpu(self) -> float:
        """CPU seconds of the gatekeeper so far, all threads; 0 while there is none."""
        total = 0
        for stat in Path(f"/proc/{self.supervisor.pid or 0}/task").glob("*/schedstat"):
            with suppress(OSError):
                total += int(stat.read_text().split()[0])
        return total / 1e9


async def _end(task: asyncio.Task[None]) -> None:
    """Cancel it until it ends: in Python 3.11, `wait_for` may swallow a cancellation."""
    while not task.done():
        await asyncio.sleep(_POLL)
        task.cancel()
        await asyncio.wait({task}, timeout=_FAREWELL)


def _ask(
    command: tuple[str, ...], environment: Mapping[str, str]
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=2 * READY,
    )


@asynccontextmanager
async def set_up(workload: str, inventory: Inventory, quantum: float) -> AsyncIterator[Stage]:
    """A stage on the first GPU of the inventory; all of it is gone afterwards.

    Raises:
        GpuError: the emulated GPU does not come up, or there is no GPU.
    """
    if not inventory.gpus:
        raise GpuError("no GPU here", hint="use --workload emulated")
    gpu = inventory.gpus[0].uuid
    folder = Path(tempfile.mkdtemp(prefix="rota-bench-", dir="/tmp"))
    emulated = folder / "gpu" if workload == EMULATED else None
    with ExitStack() as ending:
        ending.callback(shutil.rmtree, folder, ignore_errors=True)
        environment = {"CUDA_VISIBLE_DEVICES": gpu}
        if emulated:
            environment |= ending.enter_context(driver.start(inventory, emulated)).environment
        mps = Mps(folder / "mps", environment, bool(emulated))
        ending.callback(mps.stop)
        supervisor = Supervisor(folder / "run", emulated=emulated)
        keeping = asyncio.create_task(supervisor.run())
        try:
            yield Stage(folder, gpu, workload, environment, supervisor, mps, quantum)
        finally:
            await _end(keeping)
