"""A server of figures for the tests, in the test's own loop; asked from threads, as anybody would."""

from __future__ import annotations

import asyncio
import http.client
import json
import shutil
import ssl
import tempfile
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from rota.figures.collect import Collector
from rota.jobs.peer import Access as SocketAccess
from rota.jobs.peer import listen as listen_here
from rota.web.access import Access, Token
from rota.web.address import Address, listen
from rota.web.server import Listener, Tls, WebServer
from rota.web.source import Source
from tests.figures.stand_ins import StandIn

PATIENCE = 20.0


@dataclass
class Answer:
    """What came back."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def text(self) -> str:
        return self.body.decode()


@dataclass
class Site:
    """A node, and what serves it."""

    node: StandIn = field(default_factory=StandIn)
    status: dict[str, Any] = field(default_factory=lambda: {"ready": True, "resources": []})
    folder: Path = field(default_factory=lambda: Path(tempfile.mkdtemp(prefix="rotaweb")))
    port: int = 0
    tasks: list[asyncio.Task[None]] = field(default_factory=list)
    sockets: list[Any] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.collector = Collector(self.node, self.node)
        self.server = WebServer(Source(self.collector, lambda: self.status), "0.1")

    def open(
        self, *, local: bool = True, token: Token | None = None, tls: Tls | None = None
    ) -> int:
        """One more TCP listener; its port."""
        sock = listen(Address("127.0.0.1", 0))
        sock.setblocking(False)
        self.port = int(sock.getsockname()[1])
        self.serve(Listener(sock, Access(local, token), tls))
        return self.port

    def open_here(self) -> Path:
        """A listener in the folder."""
        sock = listen_here(self.folder / "figures.sock", SocketAccess())
        self.serve(Listener(sock, Access(local=True)))
        return self.folder

    def serve(self, listener: Listener) -> None:
        self.sockets.append(listener.sock)
        self.tasks.append(asyncio.create_task(self.server.run(listener)))

    async def get(
        self,
        path: str,
        headers: dict[str, str] | None = None,
        context: ssl.SSLContext | None = None,
    ) -> Answer:
        return await asyncio.to_thread(self._get, path, headers or {}, context)

    def _get(self, path: str, headers: dict[str, str], context: ssl.SSLContext | None) -> Answer:
        link: http.client.HTTPConnection
        if context:
            link = http.client.HTTPSConnection(
                "localhost", self.port, timeout=PATIENCE, context=context
            )
        else:
            link = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        try:
            link.request("GET", path, headers=headers)
            answer = link.getresponse()
            names = {name.lower(): value for name, value in answer.getheaders()}
            return Answer(answer.status, names, answer.read())
        finally:
            link.close()

    async def close(self) -> None:
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)
        for sock in self.sockets:
            sock.close()
        shutil.rmtree(self.folder, ignore_errors=True)


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    site = Site()
    yield site
    await site.close()
