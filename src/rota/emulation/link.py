"""A connection to the engine that asks and gets answers, safe for several threads."""

from __future__ import annotations

import threading
from contextlib import suppress
from pathlib import Path
from socket import MSG_DONTWAIT, MSG_PEEK, SHUT_RDWR, socket
from typing import Any

from rota.emulation import layout, wire
from rota.emulation.device import NoMemory
from rota.errors import GpuError


class EngineGone(GpuError):
    """The emulated GPU lives no more."""


class Link:
    """One connection. What is asked is answered in order; `tell` has no answer."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = threading.Lock()
        try:
            self._socket: socket = wire.connect(layout.socket_path(folder))
        except OSError as error:
            raise self._gone() from error

    def fileno(self) -> int:
        """For a selector or poll."""
        return self._socket.fileno()

    def ask(self, op: str, *, descriptor: int | None = None, **arguments: Any) -> wire.Message:
        """The answer to a request.

        Raises:
            NoMemory: the device has not that much.
            EngineGone: there is nobody to ask any more.
            GpuError: the request was refused.
        """
        with self._lock:
            self._send({"op": op, **arguments}, descriptor)
            answer = self.receive()
        error = answer.get("error")
        if error is None:
            return answer
        raise NoMemory(error) if answer.get("kind") == "memory" else GpuError(error)

    def tell(self, op: str, **arguments: Any) -> None:
        """Say something that has no answer."""
        self._send({"op": op, **arguments}, None)

    def receive(self) -> wire.Message:
        """What comes next, without having asked."""
        try:
            answer = wire.receive(self._socket)
        except OSError as error:
            raise self._gone() from error
        if answer is None:
            raise self._gone()
        return answer

    def alive(self) -> bool:
        """The engine is still there. Costs one system call and disturbs nobody."""
        try:
            return bool(self._socket.recv(1, MSG_PEEK | MSG_DONTWAIT))
        except BlockingIOError:
            return True
        except OSError:
            return False

    def close(self) -> None:
        """Leave. Twice is once."""
        self._socket.close()

    def cut(self) -> None:
        """End the connection for everybody who has it, and wake whoever waits for something of it."""
        with suppress(OSError):
            self._socket.shutdown(SHUT_RDWR)

    def _send(self, message: wire.Message, descriptor: int | None) -> None:
        try:
            wire.send(self._socket, message, descriptor)
        except OSError as error:
            raise self._gone() from error

    def _gone(self) -> EngineGone:
        return EngineGone(
            "the emulated GPU does not answer", where=str(self._folder), hint="start it again"
        )
