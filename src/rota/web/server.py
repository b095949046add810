"""Listens from the start, and comes up with the first question.

A socket costs nothing; what answers on it takes a fifth of a second to import, and most agents of
one user are never asked. So the kernel keeps the first connection until uvicorn is there.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rota.errors import UsageError
from rota.web.access import Access
from rota.web.source import Source

FAREWELL = 2.0
"""Seconds that answers under way have when the agent ends."""


@dataclass(frozen=True, slots=True)
class Tls:
    """The files of a certificate and its key, in PEM."""

    certificate: Path
    key: Path

    def check(self) -> None:
        """Read both.

        Raises:
            UsageError: they cannot be read, or do not belong together.
        """
        import ssl

        try:
            ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(self.certificate, self.key)
        except (OSError, ssl.SSLError) as error:
            raise UsageError(
                f"no certificate with its key: {error}",
                where=f"{self.certificate}, {self.key}",
                hint="two files in PEM, such as a Secret of type kubernetes.io/tls has",
            ) from None


@dataclass(frozen=True, slots=True)
class Listener:
    """One socket that listens already, and what is allowed there."""

    sock: socket.socket
    access: Access
    tls: Tls | None = None


class WebServer:
    """Serves one source on several listeners.

    Args:
        source: what is served.
        version: of this program.
        wanted: awaited once, before the first answer; what it starts is there by then.
    """

    def __init__(
        self, source: Source, version: str, wanted: Callable[[], Awaitable[None]] | None = None
    ) -> None:
        self._source, self._version, self._wanted = source, version, wanted

    async def run(self, listener: Listener) -> None:
        """Serve until cancelled. The socket stays with whoever made it."""
        end = asyncio.Event()
        await _called(listener.sock)
        if self._wanted:
            await self._wanted()
        server = await asyncio.to_thread(self._make, listener, end)
        serving = asyncio.create_task(server.serve(sockets=[listener.sock.dup()]))
        try:
            await asyncio.shield(serving)
        finally:
            end.set()
            server.end()
            await asyncio.wait({serving}, timeout=2 * FAREWELL)
            serving.cancel()

    def _make(self, listener: Listener, end: asyncio.Event) -> Any:
        from rota.web.app import make_app
        from rota.web.guest import make_server

        app = make_app(self._source, listener.access, self._version, end)
        return make_server(app, listener.tls, FAREWELL)


async def _called(sock: socket.socket) -> None:
    """Wait until somebody wants to connect."""
    loop = asyncio.get_running_loop()
    called: asyncio.Future[None] = loop.create_future()

    def call() -> None:
        if not called.done():
            called.set_result(None)

    loop.add_reader(sock, call)
    try:
        await called
    finally:
        with suppress(ValueError):
            loop.remove_reader(sock)
