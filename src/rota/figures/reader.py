"""Reads the figures of a node's agent, for commands: over its socket here, or over HTTP.

Blocking, and made of the standard library only: a command that shows figures is to start at once.
"""

from __future__ import annotations

import http.client
import json
import socket
import ssl
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, TypeAlias
from urllib.parse import urlsplit

from rota.errors import RotaError, UsageError
from rota.figures.model import Snapshot, TurnPage
from rota.figures.wire import FiguresError, from_plain

Where: TypeAlias = Path | str
"""An agent's own folder, or `http(s)://host:port`."""

PATIENCE = 10.0
"""Seconds that an answer may take, and that the stream may be silent (it speaks once a second)."""

LONGEST = 1 << 26
"""Bytes of one answer, or of one event of the stream, at most."""


class NoAgent(RotaError):
    """No agent answers there."""


def figures_socket(run_dir: Path) -> Path:
    """Where the agent with that folder tells its figures."""
    return run_dir / "figures.sock"


class Reader:
    """The figures of one agent.

    Args:
        where: its own folder, or its address.
        token: the bearer token, where it wants one.
        cafile: who vouches for its certificate, where that is none of the usual ones.
    """

    def __init__(self, where: Where, token: str = "", cafile: Path | None = None) -> None:
        """Nothing is asked yet.

        Raises:
            UsageError: it is no such address.
        """
        self._where = where
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._cafile = cafile
        if isinstance(where, str) and not (
            where.startswith(("http://", "https://")) and urlsplit(where).hostname
        ):
            raise UsageError(f"'{where}' is no address", hint="such as http://127.0.0.1:9400")

    def state(self) -> Snapshot:
        """How everybody fares now.

        Raises:
            NoAgent: nobody answers there.
            FiguresError: somebody else does, or it refuses.
        """
        return from_plain(Snapshot, self._get("/api/v1/state"))

    def turns(self, since: int | None = None) -> TurnPage:
        """The turns from that number on, a page of them; the last ones where None. As `state`."""
        query = "" if since is None else f"?since={since}"
        return from_plain(TurnPage, self._get(f"/api/v1/turns{query}"))

    def follow(self, since: int | None = None) -> Iterator[Snapshot | TurnPage]:
        """A snapshot each second, and turns as they end, until the agent hangs up. As `state`."""
        query = "" if since is None else f"?since={since}"
        with closing(self._connect()) as link:
            answer = self._ask(link, f"/api/v1/stream{query}")
            for name, text in _events(answer):
                kind = {"state": Snapshot, "turns": TurnPage}.get(name)
                if kind is not None:
                    yield from_plain(kind, _json(text))

    def _get(self, path: str) -> Any:
        with closing(self._connect()) as link:
            answer = self._ask(link, path)
            try:
                return _json(answer.read(LONGEST))
            except (OSError, http.client.HTTPException) as error:
                raise self._nobody(error) from None

    def _ask(self, link: http.client.HTTPConnection, path: str) -> http.client.HTTPResponse:
        try:
            link.request("GET", path, headers=self._headers)
            answer = link.getresponse()
        except (OSError, http.client.HTTPException) as error:
            raise self._nobody(error) from None
        if answer.status != 200:
            text = answer.read(1000).decode(errors="replace").strip()
            hint = "name its token" if answer.status == 401 else ""
            raise FiguresError(
                f"the agent refuses: {answer.status} {text}", where=str(self._where), hint=hint
            )
        return answer

    def _connect(self) -> http.client.HTTPConnection:
        if isinstance(self._where, Path):
            return _UnixConnection(figures_socket(self._where))
        parts = urlsplit(self._where)
        assert parts.hostname
        if parts.scheme == "https":
            context = ssl.create_default_context(cafile=self._cafile)
            return http.client.HTTPSConnection(
                parts.hostname, parts.port or 9400, timeout=PATIENCE, context=context
            )
        return http.client.HTTPConnection(parts.hostname, parts.port or 9400, timeout=PATIENCE)

    def _nobody(self, error: Exception) -> NoAgent:
        hint = "start `rota agent`, or name its folder with --run-dir"
        if isinstance(self._where, str):
            hint = "start `rota agent` with --listen"
        why = getattr(error, "strerror", None) or str(error)
        return NoAgent(f"no agent answers: {why}", where=str(self._where), hint=hint)


class _UnixConnection(http.client.HTTPConnection):
    """HTTP over a socket in a folder."""

    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=PATIENCE)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(PATIENCE)
        self.sock.connect(str(self._path))


def _events(answer: http.client.HTTPResponse) -> Iterator[tuple[str, bytes]]:
    """The events of a stream: name and data. Ends with the connection."""
    name, data = "", b""
    while True:
        try:
            line = answer.readline(LONGEST)
        except (OSError, http.client.HTTPException):
            return
        if not line:
            return
        field, _, value = line.rstrip(b"\r\n").partition(b": ")
        if field == b"event":
            name = value.decode()
        elif field == b"data":
            data = value
        elif not field:
            if data:
                yield name, data
            name, data = "", b""


def _json(text: bytes) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        raise FiguresError(f"no answer of an agent: {text[:80]!r}") from None
