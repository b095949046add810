"""The thread inside every emulated CUDA process that opens and closes its gate from outside.

With the driver, that thread belongs to libcuda. It takes the write side of the process's rwlock, so
that every call of the program waits, and lets go of it when it is told to; whoever told it may have
died in between. It answers on `FOLDER/gates/<pid>.sock`, one request at a time, to the same user
and to root.
"""

from __future__ import annotations

import enum
import selectors
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from rota.emulation import wire
from rota.emulation.rwlock import RwLock
from rota.errors import RotaError

OK, NOT_READY, ILLEGAL_STATE, NOT_INITIALIZED = (
    "ok",
    "not-ready",
    "illegal-state",
    "not-initialized",
)
"""What the thread answers, after the driver's CUDA_ERROR_… of the same names."""

NOT_PERMITTED = "not-permitted"
NOT_SUPPORTED = "not-supported"
OUT_OF_MEMORY = "out-of-memory"


class Pages(Protocol):
    """Moves all memory of this process between the GPU and the host."""

    def out(self) -> bool:
        """To the host; False where it uses what cannot be checkpointed."""
        ...

    def back(self) -> bool:
        """To the GPU; False where that had no room, and then all of it is lost."""
        ...


class State(enum.StrEnum):
    """What the driver calls the state of a process."""

    RUNNING = "running"
    LOCKED = "locked"
    CHECKPOINTED = "checkpointed"
    FAILED = "failed"


class Control:
    """The gate of this process.

    Args:
        lock: what every call of the program holds the read side of.
        drain: waits that long, in seconds, for what was submitted; False when it was not enough.
        initialized: the process has a context.
        pages: moves its memory.
    """

    def __init__(
        self,
        path: Path,
        lock: RwLock,
        drain: Callable[[float], bool],
        initialized: Callable[[], bool],
        pages: Pages | None = None,
    ) -> None:
        self._lock = lock
        self._drain = drain
        self._initialized = initialized
        self._pages = pages
        self._state = State.RUNNING
        self._server = wire.listen(path)
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._server, selectors.EVENT_READ)
        self._thread = threading.Thread(target=self._run, name="rota-gate", daemon=True)
        self._thread.start()

    def forked(self) -> None:
        """We are a child: the gate is the parent's, and must not look alive when that is dead."""
        self._server.close()

    def _run(self) -> None:
        while True:
            for key, _ in self._selector.select():
                if key.fileobj is self._server:
                    self._accept()
                else:
                    assert isinstance(key.fileobj, socket.socket)
                    self._read(key.fileobj)

    def _accept(self) -> None:
        try:
            link, _ = self._server.accept()
        except OSError:
            return
        _, uid = wire.peer(link)
        if wire.trusted(uid):
            self._selector.register(link, selectors.EVENT_READ)
            return
        wire.send(link, {"result": NOT_PERMITTED})
        link.close()

    def _read(self, link: socket.socket) -> None:
        try:
            message = wire.receive(link)
            if message is not None:
                wire.send(link, self._answer(message))
                return
        except (OSError, LookupError, TypeError, ValueError, RotaError):
            pass
        self._selector.unregister(link)
        link.close()

    def _answer(self, message: wire.Message) -> wire.Message:
        if not self._initialized():
            return {"result": NOT_INITIALIZED}
        op = message.get("op")
        if op == "state":
            return {"result": OK, "state": str(self._state)}
        if op == "open":
            return {"result": self._open()}
        if op == "close":
            return {"result": self._close(float(message["timeout"]))}
        if op == "page-out":
            return {"result": self._page_out()}
        if op == "page-in":
            return {"result": self._page_in()}
        raise ValueError(op)

    def _open(self) -> str:
        if self._state is not State.LOCKED:
            return ILLEGAL_STATE
        self._state = State.RUNNING
        self._lock.give()
        return OK

    def _close(self, timeout: float) -> str:
        if self._state is not State.RUNNING:
            return ILLEGAL_STATE
        end = time.monotonic() + timeout
        if not self._lock.take(timeout):
            return NOT_READY
        if not self._drain(max(0.0, end - time.monotonic())):
            self._lock.give()
            return NOT_READY
        self._state = State.LOCKED
        return OK

    def _page_out(self) -> str:
        """It goes on to the end though whoever asked for it may die meanwhile."""
        if self._state is not State.LOCKED:
            return ILLEGAL_STATE
        if self._pages is None or not self._pages.out():
            return NOT_SUPPORTED
        self._state = State.CHECKPOINTED
        return OK

    def _page_in(self) -> str:
        if self._state is not State.CHECKPOINTED or self._pages is None:
            return ILLEGAL_STATE
        if not self._pages.back():
            self._state = State.FAILED
            return OUT_OF_MEMORY
        self._state = State.LOCKED
        return OK
