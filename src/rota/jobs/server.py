"""The control socket: who asks is known from the kernel, and nobody can hold up anybody else.

Each connection has a task of its own and carries one request. One that says nothing is closed after
some seconds, one that says too much at once, and one that does not read what it is told is dropped;
a user may have only so many at a time.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import structlog

from rota.errors import RotaError
from rota.jobs import pidfd, protocol, view
from rota.jobs.job import Job, Wish
from rota.jobs.keeper import Keeper
from rota.jobs.line import Caller, Ticket
from rota.jobs.peer import Access, caller_of, listen
from rota.jobs.protocol import ProtocolError

FIRST = 10.0
"""Seconds in which a request must have come."""

BACKLOG = 1 << 18
"""Bytes that may wait for one reader."""

MOST = 512
MOST_OF_A_USER = 128
"""Connections at a time; a job in line is one. Root always gets in."""


@dataclass(slots=True)
class _Link:
    """One connection."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    def say(self, message: protocol.Message) -> None:
        """Send, unless the other side reads nothing: then the connection ends."""
        transport = self.writer.transport
        if transport.get_write_buffer_size() > BACKLOG:
            transport.abort()
        else:
            self.writer.write(protocol.encode(message))


class Paging(Protocol):
    """Who pages jobs out and in."""

    async def places(self) -> Mapping[str, Mapping[str, Any]]:
        """Job → where its memory is, of those that are not simply on the GPU."""
        ...

    def page(self, job: str, *, out: bool) -> AsyncIterator[dict[str, Any]]:
        """Bring a job to host memory, or back: `place`, `bytes`, `seconds`, `short`, `done`.

        Raises:
            RotaError: it cannot be, and why.
        """
        ...


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
        self._paging = paging
        self._keeper = keeper
        self._about = about
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
        link = _Link(reader, writer)
        try:
            await self._refusing(link, lambda: self._admit(link))
        except ConnectionError:
            pass
        except Exception as error:
            self._log.error("fault in a request", exc_info=error)
        finally:
            self._tasks.discard(task)
            writer.close()

    async def _refusing(self, link: _Link, serve: Callable[[], Awaitable[None]]) -> None:
        try:
            await serve()
        except RotaError as problem:
            link.say(protocol.error(problem))

    async def _admit(self, link: _Link) -> None:
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

    async def _serve(self, link: _Link, caller: Caller) -> None:
        line = await _first_line(link.reader)
        if not line:
            return
        op, fields = protocol.read_request(line)
        match op:
            case "run":
                await self._run(link, caller, fields)
            case "jobs":
                places = await self._paging.places() if self._paging else {}
                jobs = view.listed(self._keeper.jobs, self._keeper.waiting, caller.uid, places)
                link.say({"jobs": jobs, "agent": self._about()})
            case "stop":
                await self._stop(link, caller, fields)
            case "pause" | "resume":
                await self._page(link, caller, fields, out=op == "pause")
            case _:
                raise ProtocolError("this agent does not know that request", where=op[:40])

    async def _run(self, link: _Link, caller: Caller, fields: dict[str, Any]) -> None:
        wish = protocol.read_wish(fields)
        self._check_emulation(fields)
        _check_weight(wish, caller)
        ticket = self._keeper.enter(wish, caller)
        try:
            if ticket.job is None and not wish.wait:
                link.say({"full": view.standing(self._keeper.standing(ticket))})
                return
            await self._wait(link, ticket)
        finally:
            self._keeper.leave(ticket)
        if ticket.job is not None:
            link.say(self._granted(ticket.job))

    def _check_emulation(self, fields: dict[str, Any]) -> None:
        wanted, there = fields.get("emulate"), self._about()["emulate"]
        if wanted and wanted != there:
            what = f"emulates {there}" if there else "serves real GPUs"
            raise RotaError(
                f"the agent here {what}",
                where=str(self._about()["run_dir"]),
                hint="leave out --emulate, or name another folder with --run-dir",
            )

    async def _wait(self, link: _Link, ticket: Ticket) -> None:
        """Until it is served; tell how it stands each time that changes."""
        left = asyncio.create_task(link.reader.read(1))
        told: dict[str, Any] = {}
        try:
            while ticket.job is None:
                if ticket.refused:
                    raise ticket.refused
                now = view.standing(self._keeper.standing(ticket))
                if now != told:
                    link.say({"waiting": now, "agent": self._about()})
                told = now
                if not await _changed(ticket, left):
                    return
        finally:
            left.cancel()
            with suppress(asyncio.CancelledError, OSError):
                await left

    def _granted(self, job: Job) -> dict[str, Any]:
        return {
            "granted": {
                "job": job.id,
                "replicas": [replica.id for replica in job.replicas],
                "env": self._keeper.environment(job),
            },
            "agent": self._about(),
        }

    async def _stop(self, link: _Link, caller: Caller, fields: dict[str, Any]) -> None:
        name, grace = protocol.read_stop(fields)
        id_ = self._find(name, caller)
        ticket = self._keeper.ticket(id_)
        if ticket is not None:
            pidfd.send(ticket.waiting.root, signal.SIGTERM)
            link.say({"stopped": {"job": id_, "killed": False, "waited": True}})
            return
        killed = await self._keeper.stop(id_, grace)
        link.say({"stopped": {"job": id_, "killed": killed, "waited": False}})

    async def _page(
        self, link: _Link, caller: Caller, fields: dict[str, Any], *, out: bool
    ) -> None:
        """Tell how it goes on, until it is done or the other side leaves; the step goes on then."""
        id_ = self._find(protocol.read_job(fields), caller)
        if self._keeper.ticket(id_) is not None:
            raise RotaError("this job is in line, and has nothing on a GPU", where=id_)
        if self._paging is None:
            raise RotaError("this agent pages nobody out", where=id_)
        left = asyncio.create_task(link.reader.read(1))
        try:
            async for step in self._paging.page(id_, out=out):
                if left.done():
                    return
                link.say({"paging": {"job": id_, **step}})
        finally:
            left.cancel()
            with suppress(asyncio.CancelledError, OSError):
                await left

    def _find(self, name: str, caller: Caller) -> str:
        """The id of the caller's job of that id or name."""
        there = [(j.id, j.name, j.uid, j.user) for j in self._keeper.jobs]
        there += [(w.id, w.wish.name, w.uid, w.user) for w in self._keeper.waiting]
        mine = [each for each in there if view.may_see(caller.uid, each[2])]
        same = [each for each in mine if each[0] == name] or [e for e in mine if e[1] == name]
        if len(same) == 1:
            return same[0][0]
        if same:
            ids = ", ".join(each[0] for each in same)
            raise RotaError("several jobs have that name", where=name, hint=f"name one of {ids}")
        other = next((each for each in there if name in each[:2]), None)
        if other:
            what = f"this job is {other[3]}'s"
            raise RotaError(what, where=name, hint="only its user and root may touch it")
        raise RotaError("no such job", where=name, hint="`rota ps` lists those that are there")


def _check_weight(wish: Wish, caller: Caller) -> None:
    """Among several users a weight above 1 takes from the others; replicas are what quotas count."""
    if wish.weight > 1 and caller.uid not in (0, os.geteuid()):
        raise RotaError(
            "a weight above 1 is for the agent's own user and root",
            where="--weight",
            hint="ask for more replicas instead",
        )


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


async def _changed(ticket: Ticket, left: asyncio.Task[bytes]) -> bool:
    """Wait for news of a ticket; False when the one who waits has left."""
    news = asyncio.create_task(ticket.changed.wait())
    try:
        await asyncio.wait({news, left}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        news.cancel()
    ticket.changed.clear()
    return not left.done()


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
