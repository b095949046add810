"""A node's folders as files: /proc, the kubelet's logs, and real processes beside them."""

from __future__ import annotations

import itertools
import os
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from rota.errors import GpuError
from rota.model import GpuMemory, GpuProcess, HealthEvent, Inventory

PATIENCE = 30.0
FIRST_PID = 5_000_000
"""Above the kernel's largest pid: no real process has it."""


@dataclass
class FakeProc:
    """A folder that looks like /proc."""

    root: Path
    _pids: Iterator[int] = field(default_factory=lambda: itertools.count(FIRST_PID))

    def add(
        self,
        parent: int = 0,
        *,
        pid: int = 0,
        started: int = 1000,
        session: int = 0,
        state: str = "S",
        cgroup: str = "0::/",
        environ: str = "",
        cmdline: str = "",
    ) -> int:
        """A process; texts of environ and cmdline have a space where /proc has a NUL."""
        pid = pid or next(self._pids)
        folder = self.root / str(pid)
        folder.mkdir(exist_ok=True)
        fields = [state, str(parent), "0", str(session), *["0"] * 15, str(started), "0", "0"]
        (folder / "stat").write_text(f"{pid} (a) b ( c) {' '.join(fields)}\n")
        (folder / "cgroup").write_text(cgroup + "\n")
        (folder / "environ").write_text(environ.replace(" ", "\0"))
        (folder / "cmdline").write_text(cmdline.replace(" ", "\0"))
        return pid

    def remove(self, pid: int) -> None:
        for file in (self.root / str(pid)).iterdir():
            file.unlink()
        (self.root / str(pid)).rmdir()


@dataclass
class FakeLogs:
    """A folder that looks like a node's /var/log."""

    root: Path

    def pod(self, namespace: str, pod: str, uid: str, *containers: str) -> Path:
        folder = self.root / "pods" / f"{namespace}_{pod}_{uid}"
        for container in containers:
            (folder / container).mkdir(parents=True, exist_ok=True)
            (folder / container / "0.log").touch()
        return folder

    def link(self, pod_folder: Path, container: str, id_: str) -> Path:
        namespace, pod, _ = pod_folder.name.split("_")
        name = f"{pod}_{namespace}_{container}-{id_}"[:251]
        link = self.root / "containers" / f"{name}.log"
        link.symlink_to(pod_folder / container / "0.log")
        return link

    def start(self, namespace: str, pod: str, uid: str, container: str, id_: str) -> Path:
        """What the kubelet leaves when it has started a container."""
        folder = self.pod(namespace, pod, uid, container)
        self.link(folder, container, id_)
        return folder


@dataclass
class FakeDoor:
    """A driver that lists what it is told to."""

    pids: dict[str, list[int]]
    broken: set[str] = field(default_factory=set)
    asked: int = 0

    def processes(self, gpu: str) -> tuple[GpuProcess, ...]:
        self.asked += 1
        if gpu in self.broken:
            raise GpuError("the GPU is lost", where=gpu)
        return tuple(GpuProcess(pid, 1 << 30) for pid in self.pids[gpu])

    def inventory(self) -> Inventory:
        return Inventory()

    def memory(self, gpu: str) -> GpuMemory:
        return GpuMemory(0, 0, 0)

    def utilization(self, gpu: str) -> float:
        return 0.0

    def accounts(self, gpu: str) -> dict[int, float]:
        return {}

    def wait_event(self, timeout: float) -> HealthEvent | None:
        return None

    def needs_recovery(self, gpu: str) -> str:
        return ""

    def close(self) -> None:
        return


@pytest.fixture
def proc(tmp_path: Path) -> FakeProc:
    (tmp_path / "proc").mkdir()
    return FakeProc(tmp_path / "proc")


@pytest.fixture
def logs(tmp_path: Path) -> FakeLogs:
    for name in ("pods", "containers"):
        (tmp_path / "log" / name).mkdir(parents=True)
    return FakeLogs(tmp_path / "log")


@pytest.fixture
def door() -> Callable[..., FakeDoor]:
    return lambda **pids: FakeDoor({gpu: list(found) for gpu, found in pids.items()})


@pytest.fixture
def shell() -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Starts real programs; `read never` in them lasts until the end of the test."""
    started: list[subprocess.Popen[str]] = []

    def start(script: str, **environment: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            ["sh", "-c", script],
            env={**os.environ, **environment},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.wait()
        for stream in (process.stdin, process.stdout):
            assert stream
            stream.close()


@pytest.fixture
def eventually() -> Callable[[Callable[[], Any]], Any]:
    """Waits until it holds, for as long as a busy machine may need."""

    def wait(condition: Callable[[], Any]) -> Any:
        deadline = time.monotonic() + PATIENCE
        while not (value := condition()):
            assert time.monotonic() < deadline, "it did not come about"
            time.sleep(0.005)
        return value

    return wait
