"""An emulated node with real programs and a real gatekeeper on it, all gone after the test."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from rota.emulation import driver
from rota.emulation.gates import EmulatedGates
from rota.emulation.inventory import EmulatedInventory
from rota.emulation.profiles import parse_emulation
from rota.errors import GpuError
from rota.gatekeeper.journal import Journal, Process
from rota.gatekeeper.messages import ClientSpec, Node, Settings
from rota.gatekeeper.server import peer_of, socket_path
from rota.gatekeeper.supervisor import Supervisor
from rota.gpu.doors import GateState
from rota.gpu.processes import started
from rota.scheduling.log import Turn
from rota.scheduling.terms import Rules, Share

PATIENCE = 40.0


async def eventually(condition: Callable[[], Any], what: str = "") -> Any:
    """Wait until it holds, for as long as a busy machine may need."""
    end = time.monotonic() + PATIENCE
    while True:
        value = condition()
        if isinstance(value, Awaitable):
            value = await value
        if value:
            return value
        assert time.monotonic() < end, f"not in {PATIENCE:.0f} s: {what}"
        await asyncio.sleep(0.01)


@dataclass
class Started:
    """A process that a test has started."""

    process: subprocess.Popen[bytes]

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def identity(self) -> Process:
        when = started(self.pid)
        assert when is not None
        return Process(self.pid, when)

    @property
    def alive(self) -> bool:
        return self.process.poll() is None


@dataclass
class Workload(Started):
    """A program on the emulated GPU, as its own process."""

    out: Path

    def lines(self, event: str = "") -> list[dict[str, Any]]:
        text = self.out.read_text() if self.out.exists() else ""
        whole = [json.loads(line) for line in text.splitlines(keepends=True) if line[-1] == "\n"]
        return [line for line in whole if event in ("", line["event"])]


@dataclass
class EmulatedNode:
    """One emulated node, what runs on it, and its runtime folder."""

    folder: Path
    emulation: driver.Emulation
    inventory: EmulatedInventory
    gates: EmulatedGates
    workloads: list[Workload] = field(default_factory=list)
    others: list[subprocess.Popen[bytes]] = field(default_factory=list)

    @property
    def runtime(self) -> Path:
        return self.folder / "run"

    @property
    def gpus(self) -> list[str]:
        return [gpu.uuid for gpu in self.inventory.inventory().gpus]

    def start(self, *arguments: str, **environment: str) -> Workload:
        out = self.folder / f"out-{len(self.workloads)}"
        process = subprocess.Popen(
            [sys.executable, "-m", "rota.emulation.workloads", *arguments, "--out", str(out)],
            env={**os.environ, **self.emulation.environment, **environment},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        self.workloads.append(Workload(process, out))
        return self.workloads[-1]

    async def run(self, *commands: str, **environment: str) -> list[Workload]:
        """Start programs and wait until all of them are on the GPU."""
        programs = [self.start(*command.split(), **environment) for command in commands]
        await eventually(lambda: all(p.lines("ready") for p in programs), "ready")
        return programs

    def python(self, code: str, *arguments: str) -> subprocess.Popen[bytes]:
        """Some Python of the test's own, as a process."""
        process = subprocess.Popen(
            [sys.executable, "-c", code, *arguments],
            env={**os.environ, **self.emulation.environment},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        self.others.append(process)
        return process

    def client(self, name: str, *programs: Workload, share: Share | None = None) -> ClientSpec:
        processes = frozenset(program.identity for program in programs)
        return ClientSpec(name, {self.gpus[0]: share or Share()}, processes)

    def served(self, program: Workload) -> float:
        """Engine seconds that the program has had: the emulated GPU's own account."""
        return sum(self.inventory.accounts(gpu).get(program.pid, 0.0) for gpu in self.gpus)

    def is_open(self, program: Workload) -> bool:
        try:
            return self.gates.state(*program.identity) is GateState.OPEN
        except GpuError:
            return False

    def all_open(self) -> bool:
        return all(self.is_open(program) for program in self.workloads if program.alive)

    def journal(self) -> list[Process]:
        return Journal(self.runtime).read()

    def node(self, *clients: ClientSpec, memory: Any = (), **settings: Any) -> Node:
        """What the gatekeeper is told."""
        return Node(Settings(**settings), clients, memory)

    @asynccontextmanager
    async def supervised(self, *clients: ClientSpec, **settings: Any) -> AsyncIterator[Supervisor]:
        """A supervisor with its gatekeeper, told these clients; ended afterwards."""
        supervisor = Supervisor(self.runtime, emulated=self.folder / "gpu")
        supervisor.tell(self.node(*clients, **settings))
        task = asyncio.create_task(supervisor.run())
        try:
            await eventually(lambda: supervisor.pid, "a gatekeeper")
            yield supervisor
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    async def turns(self, supervisor: Supervisor, count: int) -> list[Turn]:
        """Wait for that many more turns, and return them."""
        begin = (await supervisor.state())["turns"]

        async def enough() -> bool:
            return bool((await supervisor.state())["turns"] >= begin + count)

        await eventually(enough, f"{count} turns")
        turns: list[Turn] = []
        at = begin
        while at < begin + count:
            at, page = await supervisor.turns(at)
            turns += page
        return turns

    def keeper(self) -> int:
        """The gatekeeper's pid, by its socket; 0 while there is none."""
        with socket.socket(socket.AF_UNIX) as link:
            try:
                link.connect(str(socket_path(self.runtime)))
            except OSError:
                return 0
            return peer_of(link)[0]

    def end(self) -> None:
        for process in self.others:
            process.kill()
        if keeper := self.keeper():
            os.kill(keeper, signal.SIGKILL)
        for program in self.workloads:
            program.process.kill()
            program.process.wait()
        for process in self.others:
            process.kill()
            process.wait()
            for stream in (process.stdin, process.stdout):
                if stream:
                    stream.close()
        self.gates.forget()
        self.inventory.close()
        self.emulation.stop()


class NoGates:
    """A door behind which there is nothing: a test that comes to it has gone wrong."""

    def open(self, pid: int, started: int) -> None:
        raise AssertionError("nobody opens here")

    def close(self, pid: int, started: int, timeout: float) -> None:
        raise AssertionError("nobody closes here")

    def state(self, pid: int, started: int) -> GateState:
        raise AssertionError("nobody asks here")

    def page_out(self, pid: int, started: int) -> None:
        raise AssertionError("nobody pages here")

    def page_in(self, pid: int, started: int) -> None:
        raise AssertionError("nobody pages here")


@pytest.fixture
def emulate() -> Iterator[Callable[[str], EmulatedNode]]:
    """Make emulated nodes; all of them end with the test."""
    folders: list[Path] = []
    nodes: list[EmulatedNode] = []

    def start(profile: str) -> EmulatedNode:
        folders.append(Path(tempfile.mkdtemp(prefix="rota")))
        place = folders[-1] / "gpu"
        emulation = driver.start(parse_emulation(profile), place)
        door = EmulatedInventory(place)
        nodes.append(EmulatedNode(folders[-1], emulation, door, EmulatedGates(place)))
        return nodes[-1]

    yield start
    for node in nodes:
        node.end()
    for folder in folders:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def node(emulate: Callable[[str], EmulatedNode]) -> EmulatedNode:
    """A node with one emulated T4."""
    return emulate("t4")


@pytest.fixture
def short() -> Rules:
    """Short turns, so that many fit into a test."""
    return Rules(quantum=0.04, minimum=0.005)


@pytest.fixture
def until() -> Callable[..., Awaitable[Any]]:
    """Wait until a condition holds."""
    return eventually
