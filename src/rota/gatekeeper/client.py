"""The other end of the control socket: for the agent (asyncio) and for commands (blocking)."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from contextlib import suppress
from pathlib import Path
from typing import Any

from rota.errors import RotaError
from rota.gatekeeper.messages import MessageError, decode, encode, parse_turn
from rota.gatekeeper.server import LONGEST, peer_of, socket_path
from rota.scheduling.log import Turn


class NoGatekeeper(RotaError):
    """Nobody answers on the control socket."""


def no_gatekeeper(runtime: Path) -> NoGatekeeper:
    """The error, with what to do."""
    return NoGatekeeper(
        "no gatekeeper answers", where=str(runtime), hint="start an agent, or `rota gatekeeper`"
    )


class Control:
    """An asyncio connection to a gatekeeper. One request at a time; the others wait for it."""

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, runtime: Path
    ) -> None:
        self._reader, self._writer, self._runtime = reader, writer, runtime
        self._turn = asyncio.Lock()
        self.pid = peer_of(writer.get_extra_info("socket"))[0]
        self._pidfd = _pidfd(self.pid)

    @classmethod
    async def connect(cls, runtime: Path) -> Control:
        """Connect to the gatekeeper of that runtime folder.

        Raises:
            NoGatekeeper: there is none.
        """
        try:
            path = str(socket_path(runtime))
            reader, writer = await asyncio.open_unix_connection(path, limit=LONGEST)
        except OSError:
            raise no_gatekeeper(runtime) from None
        return cls(reader, writer, runtime)

    async def ask(self, message: dict[str, Any]) -> dict[str, Any]:
        """Its answer. Whoever stops waiting for one leaves it to be read and thrown away.

        Raises:
            NoGatekeeper: it is gone.
            MessageError: it refused the request.
        """
        asking = asyncio.ensure_future(self._ask(message))
        asking.add_done_callback(lambda done: done.cancelled() or done.exception())
        return _answer(await asyncio.shield(asking), self._runtime)

    async def _ask(self, message: dict[str, Any]) -> bytes:
        async with self._turn:
            try:
                self._writer.write(encode(message))
                await self._writer.drain()
                return await self._reader.readline()
            except (OSError, ValueError):
                return b""

    def signal(self, number: int) -> None:
        """Send a signal to the gatekeeper, and never to one that got its pid later."""
        if self._pidfd is not None:
            with suppress(ProcessLookupError, PermissionError):
                signal.pidfd_send_signal(self._pidfd, number)

    def close(self) -> None:
        """Hang up. Twice is once."""
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
