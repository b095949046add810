"""Keepers over a made-up GPU, and real processes that they follow."""

from __future__ import annotations

import asyncio
import io
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import structlog

from rota.jobs import pidfd, processes
from rota.jobs.job import Process, Wish
from rota.jobs.keeper import Keeper
from rota.jobs.ledger import Pool
from rota.jobs.line import Caller
from rota.jobs.state import StateFile
from rota.model import Device, Gpu, Replica, Resource

PATIENCE = 20.0


def one_gpu(replicas: int = 1, **more: Any) -> Pool:
    device = Device(Gpu("GPU-0", 0, 0, "NVIDIA H200", 141 << 30, (9, 0)))
    made = tuple(Replica("GPU-0", n) for n in range(replicas))
    return Pool((Resource("nvidia.com/gpu", (device,), made, "time-slicing"),), **more)


def wish(name: str = "job", **more: Any) -> Wish:
    return Wish(name, (name, "secret"), **more)


async def until(true: Callable[[], Any]) -> Any:
    """Wait for something true."""
    loop = asyncio.get_running_loop()
    end = loop.time() + PATIENCE
    while not (found := true()):
        assert loop.time() < end, "it never came"
        await asyncio.sleep(0.01)
    return found


@dataclass
class Programs:
    """Programs that a test starts; whatever they leave behind is killed afterwards."""

    started: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def start(self, *command: str, **env: str) -> Caller:
        """A program as a caller whose job it becomes."""
        environ = os.environ | env
        process = subprocess.Popen(command, env=environ, start_new_session=True)
        self.started.append(process)
        started = processes.started(process.pid)
        assert started is not None
        return Caller(Process(process.pid, started), os.geteuid(), "me")

    def kill(self, caller: Caller) -> None:
        """Kill it and wait until it is gone."""
        process = next(p for p in self.started if p.pid == caller.process.pid)
        process.kill()
        process.wait()

    def end(self) -> None:
        for process in self.started:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


@dataclass
class Office:
    """Keepers, one after the other, over the same folder."""

    folder: Path
    pool: Pool
    programs: Programs
    keeper: Keeper = field(init=False)
    task: asyncio.Task[None] | None = None
    log: io.StringIO = field(default_factory=io.StringIO)

    def __post_init__(self) -> None:
        self.keeper = self._make()

    def _make(self) -> Keeper:
        log = structlog.wrap_logger(structlog.PrintLogger(self.log))
        return Keeper(self.pool, StateFile(self.folder / "jobs.json"), log)

    async def open(self) -> Keeper:
        await self.keeper.restore()
        self.task = asyncio.create_task(self.keeper.run())
        return self.keeper

    async def close(self) -> None:
        if self.task:
            self.task.cancel()
            await asyncio.wait([self.task])
        self.keeper.close()

    async def reopen(self) -> Keeper:
        """As if the agent had been killed and started again."""
        await self.close()
        self.keeper = self._make()
        return await self.open()


@pytest.fixture
def programs() -> Iterator[Programs]:
    made = Programs()
    yield made
    made.end()


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder whose name is short enough for sockets."""
    made = Path(tempfile.mkdtemp(prefix="rota"))
    yield made
    shutil.rmtree(made, ignore_errors=True)


@pytest.fixture
async def office(folder: Path, programs: Programs) -> AsyncIterator[Office]:
    made = Office(folder, one_gpu(), programs)
    await made.open()
    yield made
    await made.close()
    for process in (process for job in made.keeper.jobs for process in job.processes):
        if process.pid != os.getpid():
            pidfd.send(process, signal.SIGKILL)
