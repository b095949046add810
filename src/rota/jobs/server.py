"""The control socket: who asks is known from the kernel, and nobody can hold up anybody else.

Each connection has a task of its own and carries one request. One that says nothing is closed after
some seconds, one that says too much at once, and one that does not read what it is told is dropped;
a user may have only so many at a time.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import structlog

from rota.errors import RotaError
from rota.jobs import protocol
from rota.jobs.keeper import Keeper
from rota.jobs.line import Caller
from rota.jobs.peer import Access, caller_of, listen
from rota.jobs.protocol import ProtocolError
from rota.jobs.requests import Link, Paging, Requests

FIRST = 10.0
"""Seconds in which a request must have come."""

MOST = 512
MOST_OF_A_USER = 128
"""Connections at a time; a job in line is one. Root always gets in."""


class ControlServer:
    """Serves one keeper on one socket.

    Args:
        keeper: whose jobs.
        about: what every answer to `run` tells of the agent (`emulated`, `devices`, …).
        log: the agent's.
        paging: pages jobs out and in; None where nobody can.
    """

    def __init__(
        self,
        keeper: Keeper,
        about: Callable[[], dict[str, Any]],
        log: structlog.typing.FilteringBoundLogger,
        paging: Paging | None = None,
    ) -> None:
        """Nobody is heard before `start`."""
        self._requests = Requests(keeper, about, paging)
        self._log = log
        self._server: asyncio.Server | None = None
        self._place: tuple[int, int] | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._of_user: Counter[int] = Counter()

    @property
    def connections(self) -> int:
        """How many there are now."""
        return self._of_user.total()

    async def start(self, path: Path, access: Access) -> None:
        """Listen; what lies at `path` is replaced. Again, if that was taken away.

        Raises:
            RotaError: the socket cannot be made, or not for that group.
        """
        try:
            listening = listen(path, access)
        except OSError as error:
            raise RotaError(
                f"cannot listen here: {error.strerror or error}",
                where=str(path),
                hint="name a folder of yours with a short name, by --run-dir",
            ) from None
        if self._server is not None:
            self._server.close()
        self._place = file_at(path)
        self._server = await asyncio.start_unix_server(
            self._connected, sock=listening, limit=protocol.LONGEST
        )

    def is_at(self, path: Path) -> bool:
        """Whoever connects there comes here."""
        return self._place is not None and file_at(path) == self._place

    async def close(self) -> None:
        """Stop listening, and end every connection. Twice is once."""
        if self._server is None:
            return
        self._server.close()
        self._server = None
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        link = Link(reader, writer)
        try:
            await self._refusing(link, lambda: self._admit(link))
        except ConnectionError:
            pass
        except Exception as error:
            self._log.error("fault in a request", exc_info=error)
        finally:
            self._tasks.discard(task)
            writer.close()

    async def _refusing(self, link: Link, serve: Callable[[], Awaitable[None]]) -> None:
        try:
            await serve()
        except RotaError as problem:
            link.say(protocol.error(problem))

    async def _admit(self, link: Link) -> None:
        caller = caller_of(link.writer.get_extra_info("socket"))
        mine = self._of_user[caller.uid]
        if mine >= MOST_OF_A_USER or (self.connections >= MOST and caller.uid != 0):
            await _drained(link.reader)
            raise RotaError("too many requests at a time", hint="wait until some have ended")
        self._of_user[caller.uid] += 1
        try:
            await self._serve(link, caller)
        finally:
            self._of_user[caller.uid] -= 1

    async def _serve(self, link: Link, caller: Caller) -> None:
        line = await _first_line(link.reader)
        if not line:
            return
        op, fields = protocol.read_request(line)
        await self._requests.answer(link, caller, op, fields)


async def _first_line(reader: asyncio.StreamReader) -> bytes:
    """The request; empty where the other side left.

    Raises:
        ProtocolError: it takes too long, or is too long.
    """
    try:
        async with asyncio.timeout(FIRST):
            return await reader.readline()
    except TimeoutError:
        raise ProtocolError(f"no request in {FIRST:g} s") from None
    except ValueError:
        raise ProtocolError(f"a request of more than {protocol.LONGEST} bytes") from None


async def _drained(reader: asyncio.StreamReader) -> None:
    """Read what is there: a connection closed over unread words loses its answer, too."""
    with suppress(TimeoutError, OSError):
        await asyncio.wait_for(reader.read(protocol.LONGEST), 0.5)


def file_at(path: Path) -> tuple[int, int] | None:
    """Which file is there, whatever it is called; None for none."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino
