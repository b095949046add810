"""One connection, by uvicorn's HTTP/1.1 protocol, with the limits that it leaves open.

A connection that asks nothing, or stops in the middle of its question, is cut off after ten seconds,
and so is one that does not read what it is sent; what was kept for it goes with it. Beyond so many
connections a new one is cut off at once.
"""

from __future__ import annotations

import asyncio
import socket
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol

MOST = 128
"""Connections of one listener."""

SILENT = 10.0
"""Seconds in which a connection must have asked its question."""

SLOW = 10.0
"""Seconds in which a reader must have taken what lies ready for it."""


UNREAD = 256 * 1024
"""Bytes that the kernel keeps for a reader before it counts as slow."""


class GuardedProtocol(H11Protocol):
    """uvicorn's protocol with deadlines."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._silence: asyncio.TimerHandle | None = None
        self._slowness: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Count it, and wait for its question."""
        super().connection_made(transport)
        sock = transport.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, UNREAD)
        if len(self.connections) > MOST:
            transport.abort()
            return
        self._mind_silence()

    def connection_lost(self, exc: Exception | None) -> None:
        """No deadline outlives it."""
        _cancel(self._silence)
        _cancel(self._slowness)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Part of a question."""
        super().data_received(data)
        self._mind_silence()

    def pause_writing(self) -> None:
        """The reader is slower than we are."""
        super().pause_writing()
        if self._slowness is None:
            self._slowness = self.loop.call_later(SLOW, self.transport.abort)

    def resume_writing(self) -> None:
        """The reader has caught up."""
        _cancel(self._slowness)
        self._slowness = None
        super().resume_writing()

    def _mind_silence(self) -> None:
        """The first question is awaited, and the rest of any; after an answer it may rest."""
        awaited = self.cycle is None or (
            self.cycle.response_complete and bool(self.conn.trailing_data[0])
        )
        if not awaited:
            _cancel(self._silence)
            self._silence = None
        elif self._silence is None:
            self._silence = self.loop.call_later(SILENT, self.transport.abort)


def _cancel(timer: asyncio.TimerHandle | None) -> None:
    if timer is not None:
        timer.cancel()
