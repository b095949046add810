"""Emulated GPUs and real programs that use them, all gone after the test."""

from __future__ import annotations

import itertools
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from rota.emulation import driver
from rota.emulation.inventory import EmulatedInventory
from rota.emulation.layout import read_inventory
from rota.emulation.profiles import parse_emulation
from rota.gpu.processes import started

PATIENCE = 30.0

PUPPET = """
import json, sys
from rota.emulation import cuda
names = {"cuda": cuda}
for line in sys.stdin:
    try:
        try:
            answer = {"value": eval(line, names)}
        except SyntaxError:
            exec(line, names)
            answer = {"value": None}
    except Exception as error:
        answer = {"error": type(error).__name__, "what": str(error)}
    print(json.dumps(answer, default=str), flush=True)
"""


def eventually(condition: Callable[[], Any], what: str = "") -> Any:
    """Wait until it holds, for as long as a busy machine may need."""
    end = time.monotonic() + PATIENCE
    while not (value := condition()):
        assert time.monotonic() < end, f"not in {PATIENCE:.0f} s: {what or condition}"
        time.sleep(0.005)
    return value


@dataclass
class Puppet:
    """A program on the emulated GPU that does what it is told, line by line."""

    process: subprocess.Popen[str]

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def started(self) -> int:
        when = started(self.pid)
        assert when is not None
        return when

    def begin(self, code: str) -> None:
        """Start to do it; `end` waits for it."""
        assert self.process.stdin
        self.process.stdin.write(code + "\n")
        self.process.stdin.flush()

    def end(self) -> Any:
        assert self.process.stdout
        answer = json.loads(self.process.stdout.readline())
        assert "error" not in answer, answer
        return answer["value"]

    def do(self, code: str) -> Any:
        self.begin(code)
        return self.end()

    def refusal(self, code: str) -> str:
        """Do what cannot be done; the name of the error."""
        self.begin(code)
        assert self.process.stdout
        return str(json.loads(self.process.stdout.readline())["error"])

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()


@dataclass
class Workload:
    """A workload as its own process."""

    process: subprocess.Popen[bytes]
    out: Path

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def started(self) -> int:
        when = started(self.pid)
        assert when is not None
        return when

    def lines(self, event: str = "") -> list[dict[str, Any]]:
        text = self.out.read_text() if self.out.exists() else ""
        whole = [json.loads(line) for line in text.splitlines(keepends=True) if line[-1] == "\n"]
        return [line for line in whole if event in ("", line["event"])]

    def wait_for(self, event: str, count: int = 1) -> dict[str, Any]:
        """The line of that number with this event, as soon as it has been said."""

        def said() -> list[dict[str, Any]]:
            assert self.process.poll() is None or len(self.lines(event)) >= count, self.lines()
            return self.lines(event)[count - 1 :]

        first: dict[str, Any] = eventually(said, f"{event} ×{count}")[0]
        return first


@dataclass
class Room:
    """One emulated node and what runs on it."""

    folder: Path
    emulation: driver.Emulation
    _processes: list[subprocess.Popen[Any]] = field(default_factory=list)
    _outs: Iterator[int] = field(default_factory=itertools.count)

    @property
    def gpu(self) -> str:
        """UUID of the first GPU."""
        return read_inventory(self.folder).gpus[0].uuid

    def puppet(self, **environment: str) -> Puppet:
        process = subprocess.Popen(
            [sys.executable, "-c", PUPPET],
            env={**os.environ, **self.emulation.environment, **environment},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._processes.append(process)
        return Puppet(process)

    def workload(self, *arguments: str, **environment: str) -> Workload:
        out = self.folder / f"out-{next(self._outs)}"
        process = subprocess.Popen(
            [sys.executable, "-m", "rota.emulation.workloads", *arguments, "--out", str(out)],
            env={**os.environ, **self.emulation.environment, **environment},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        self._processes.append(process)
        return Workload(process, out)

    def clear(self) -> None:
        """End every program."""
        for process in self._processes:
            process.kill()
            process.wait()
            for stream in (process.stdin, process.stdout):
                if stream:
                    stream.close()
        self._processes.clear()

    def forgotten(self) -> None:
        """Wait until the GPU has forgotten them."""
        door = EmulatedInventory(self.folder)
        eventually(lambda: not door.processes(self.gpu), "no process listed")
        door.close()

    def end(self) -> None:
        self.clear()
        self.emulation.stop()


@contextmanager
def short_folder() -> Iterator[Path]:
    """A folder with a name short enough for unix sockets."""
    place = Path(tempfile.mkdtemp(prefix="rota"))
    try:
        yield place
    finally:
        shutil.rmtree(place)


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder of this test's own."""
    with short_folder() as place:
        yield place


@pytest.fixture
def emulate(folder: Path) -> Iterator[Callable[[str], Room]]:
    """Start emulated nodes; all of them end with the test."""
    rooms: list[Room] = []

    def start(profile: str) -> Room:
        place = folder / str(len(rooms))
        rooms.append(Room(place, driver.start(parse_emulation(profile), place)))
        return rooms[-1]

    yield start
    for room in rooms:
        room.end()


@pytest.fixture
def room(emulate: Callable[[str], Room]) -> Room:
    """One emulated T4: 15 GiB."""
    return emulate("t4")


@pytest.fixture(scope="module")
def _shared() -> Iterator[Room]:
    with short_folder() as place:
        node = Room(place / "0", driver.start(parse_emulation("t4"), place / "0"))
        yield node
        node.end()


@pytest.fixture
def shared_room(_shared: Room) -> Iterator[Room]:
    """An emulated T4 that serves one test after the other, empty each time."""
    yield _shared
    _shared.clear()
    _shared.forgotten()


@pytest.fixture
def wait() -> Callable[..., Any]:
    """Wait until a condition holds."""
    return eventually
