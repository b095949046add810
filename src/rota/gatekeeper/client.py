"""The other end of the control socket: for the agent (asyncio) and for commands (blocking)."""

from __future__ import annotations

import asyncio
import os
import select
import signal
import socket
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from rota.errors import RotaError
from rota.gatekeeper.messages import MessageError, decode, encode, parse_turn
from rota.gatekeeper.server import LONGEST, peer_of, socket_path
from rota.scheduling.log import Turn

_DEATH = 1.0
"""Seconds that the kernel may take over the end of a process that was killed."""


class NoGatekeeper(RotaError):
    """Nobody answers on the control socket."""


def no_gatekeeper(runtime: Path) -> NoGatekeeper:
    """The error, with what to do."""
    return NoGatekeeper(
        "no gatekeeper answers", where=str(runtime), hint="start an agent, or `rota gatekeeper`"
    )


class Control:
    """An asyncio connection to a gatekeeper, which answers in the order in which it is asked.

    Somebody always reads, so its end is known at once, also while nothing is asked.

    Attributes:
        pid: the gatekeeper's process; 0 in a pid namespace that we do not see.
        gone: it has hung up, or we have.
    """

    def __init__(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        runtime: Path,
        lost: Callable[[], None] = lambda: None,
    ) -> None:
        self._reader, self._writer, self._runtime = reader, writer, runtime
        self._lost = lost
        self._asked: deque[asyncio.Future[bytes]] = deque()
        self.gone = False
        self.pid = peer_of(writer.get_extra_info("socket"))[0]
        self._pidfd = _pidfd(self.pid)
        self._listening = asyncio.create_task(self._listen(), name="gatekeeper's answers")

    @classmethod
    async def connect(cls, runtime: Path, lost: Callable[[], None] = lambda: None) -> Control:
        """Connect to the gatekeeper of that runtime folder; `lost` is called when it is gone.

        Raises:
            NoGatekeeper: there is none.
        """
        try:
            path = str(socket_path(runtime))
            reader, writer = await asyncio.open_unix_connection(path, limit=LONGEST)
        except OSError:
            raise no_gatekeeper(runtime) from None
        return cls(reader, writer, runtime, lost)

    async def ask(self, message: dict[str, Any]) -> dict[str, Any]:
        """Its answer. Whoever stops waiting for one leaves it to be read and thrown away.

        Raises:
            NoGatekeeper: it is gone.
            MessageError: it refused the request.
        """
        if self.gone:
            raise no_gatekeeper(self._runtime)
        answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self._asked.append(answer)
        self._writer.write(encode(message))
        with suppress(OSError):  # whoever listens notices, and says so to all who wait
            await self._writer.drain()
        return _answer(await answer, self._runtime)

    async def _listen(self) -> None:
        try:
            while (line := await self._reader.readline()).endswith(b"\n"):
                if self._asked:
                    _settle(self._asked.popleft(), line)
        except (OSError, ValueError):
            return  # cut off, or a line longer than anybody says: no answer of a gatekeeper
        finally:
            self.gone = True
            while self._asked:
                _settle(self._asked.popleft(), b"")
            self._lost()

    def signal(self, number: int) -> None:
        """Send a signal to the gatekeeper, and never to one that got its pid later."""
        if self._pidfd is not None:
            with suppress(ProcessLookupError, PermissionError):
                signal.pidfd_send_signal(self._pidfd, number)

    def see_off(self, patience: float) -> None:
        """Wait for its end, and kill it if that has not come in `patience` seconds. Blocks."""
        if self._pidfd is None:
            return
        poll = select.poll()
        poll.register(self._pidfd, select.POLLIN)
        if not poll.poll(patience * 1000):
            self.signal(signal.SIGKILL)
            poll.poll(_DEATH * 1000)

    def close(self) -> None:
        """Hang up. Twice is once."""
        self.gone = True
        self._listening.cancel()
        self._writer.close()
        if self._pidfd is not None:
            os.close(self._pidfd)
            self._pidfd = None


def ask(runtime: Path, message: dict[str, Any], timeout: float = 5.0) -> dict[str, Any]:
    """One request and its answer, blocking, for commands. Errors as `Control.ask`."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as link:
        link.settimeout(timeout)
        try:
            link.connect(os.fspath(socket_path(runtime)))
            link.sendall(encode(message))
            with link.makefile("rb") as lines:
                line = lines.readline(LONGEST)
        except OSError:
            line = b""
    return _answer(line, runtime)


def read_turns(runtime: Path, since: int) -> tuple[int, list[Turn]]:
    """The turns from number `since` on, a page of them, and the number to go on with."""
    answer = ask(runtime, {"op": "turns", "since": since})
    return answer["next"], [parse_turn(raw) for raw in answer["turns"]]


def _settle(answer: asyncio.Future[bytes], line: bytes) -> None:
    if not answer.done():
        answer.set_result(line)


def _pidfd(pid: int) -> int | None:
    """A handle on that process; None if it is gone, or is in a pid namespace that we do not see."""
    try:
        return os.pidfd_open(pid) if pid > 0 else None
    except OSError:
        return None


def _answer(line: bytes, runtime: Path) -> dict[str, Any]:
    if not line.endswith(b"\n"):
        raise no_gatekeeper(runtime)
    answer = decode(line)
    if "error" in answer:
        raise MessageError(str(answer["error"]), where=str(runtime))
    return answer
