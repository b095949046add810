"""uvicorn, as a guest in the agent's own loop: it takes no signals, writes no log, and ticks never."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn
from starlette.types import ASGIApp

from rota.web.protocol import GuardedProtocol
from rota.web.server import Tls

LONGEST_QUESTION = 16 * 1024
"""Bytes of a request's head."""


class GuestServer(uvicorn.Server):
    """Serves until `end`."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self._ended = asyncio.Event()

    def end(self) -> None:
        """Stop accepting, let answers under way come to their end, and return from `serve`."""
        self._ended.set()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Signals are the agent's."""
        yield

    async def main_loop(self) -> None:
        """Uvicorn's own wakes up ten times a second."""
        await self.on_tick(0)
        await self._ended.wait()


def make_server(app: ASGIApp, tls: Tls | None, farewell: float) -> GuestServer:
    """A server of that application.

    Args:
        app: the application.
        tls: its certificate; None for plain HTTP.
        farewell: seconds that answers under way have at the end.
    """
    return GuestServer(
        uvicorn.Config(
            app,
            http=GuardedProtocol,
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            date_header=False,
            proxy_headers=False,
            timeout_keep_alive=75,
            timeout_graceful_shutdown=max(1, round(farewell)),
            h11_max_incomplete_event_size=LONGEST_QUESTION,
            ssl_certfile=tls.certificate if tls else None,
            ssl_keyfile=tls.key if tls else None,
        )
    )
