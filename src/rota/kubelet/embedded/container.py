"""The kubelet's side of one running container: starts its shim, hears from it, gives it orders."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from rota.errors import KubeletError
from rota.kubelet.marks import CONTAINER_MARK

SHIM = Path(__file__).with_name("shim.py")

KILLED = 137
LONGEST_ANSWER = 1 << 16


class StartError(KubeletError):
    """The container's program could not be started."""


@dataclass(frozen=True, slots=True)
class Order:
    """What a shim is to run.

    Attributes:
        id: the container's id; also in `env`, under `CONTAINER_MARK`.
        argv: program and arguments.
        env: the whole environment.
        cwd: where it starts.
    """

    id: str
    argv: Sequence[str]
    env: Mapping[str, str]
    cwd: str

    def line(self) -> bytes:
        """As the shim reads it."""
        order = {"argv": list(self.argv), "env": dict(self.env), "cwd": self.cwd}
        return json.dumps(order).encode() + b"\n"


class Container:
    """A container that runs. `Container.start` makes one."""

    def __init__(self, order: Order, shim: asyncio.subprocess.Process, pid: int) -> None:
        self.id = order.id
        self.pid = pid
        self._shim = shim

    @classmethod
    async def start(cls, order: Order, log: BinaryIO) -> Container:
        """Start it; its output goes to `log`.

        Raises:
            StartError: there is no such program or folder, or no process could be made.
        """
        try:
            shim = await asyncio.create_subprocess_exec(
                *(sys.executable, "-I", "-S", str(SHIM), str(os.getpid())),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=log,
                start_new_session=True,
                limit=LONGEST_ANSWER,
            )
        except OSError as error:
            raise StartError(f"failed to create the container's shim: {error}") from None
        try:
            assert shim.stdin
            shim.stdin.write(order.line())
            answer = await _hear(shim)
        except BaseException:
            _hang_up(shim)
            raise
        if "pid" not in answer:
            await shim.wait()
            raise StartError(str(answer.get("error", "its shim was killed")))
        return cls(order, shim, int(answer["pid"]))

    async def wait(self) -> int:
        """Wait until nothing of it is left; the exit code (128 + number for a signal)."""
        try:
            answer = await _hear(self._shim)
        except BaseException:
            _hang_up(self._shim)
            raise
        if "exit" not in answer:
            await kill_marked(self.id)
        await self._shim.wait()
        _hang_up(self._shim)
        return int(answer.get("exit", KILLED))

    def stop(self, grace: float) -> None:
        """Ask it to end: SIGTERM now, SIGKILL after `grace` seconds; 0 kills at once."""
        assert self._shim.stdin
        if not self._shim.stdin.is_closing():
            self._shim.stdin.write(f"stop {grace:.3f}\n".encode())


async def _hear(shim: asyncio.subprocess.Process) -> dict[str, Any]:
    """The shim's next line; empty when it is dead."""
    assert shim.stdout
    line = await shim.stdout.readline()
    answer = json.loads(line) if line.endswith(b"\n") else {}
    assert isinstance(answer, dict)
    return answer


def _hang_up(shim: asyncio.subprocess.Process) -> None:
    """Close the shim's input, which ends it and all that it keeps."""
    assert shim.stdin
    shim.stdin.close()


async def kill_marked(container_id: str) -> None:
    """Kill every process that has this container's id in its environment.

    Only for a container whose shim was killed: what left its parents before that is found no other
    way.
    """
    mark = f"{CONTAINER_MARK}={container_id}".encode()
    while pids := [pid for pid in map(int, _pids()) if mark in _environment(pid)]:
        for pid in pids:
            try:
                os.kill(pid, signal.SIGKILL)
            except OSError:
                continue
        await asyncio.sleep(0.01)


def _pids() -> list[str]:
    return [entry.name for entry in Path("/proc").iterdir() if entry.name.isdigit()]


def _environment(pid: int) -> list[bytes]:
    try:
        return Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except OSError:
        return []
