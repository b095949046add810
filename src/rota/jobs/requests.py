"""What is asked on the control socket, and what comes of it: run, list, stop, pause and resume.

Each request is answered on its own connection, by what the keeper does; who asks is known already.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Protocol

from rota.errors import RotaError
from rota.jobs import pidfd, protocol, view
from rota.jobs.job import Job, Wish
from rota.jobs.keeper import Keeper
from rota.jobs.line import Caller, Ticket
from rota.jobs.protocol import ProtocolError

BACKLOG = 1 << 18
"""Bytes that may wait for one reader."""


@dataclass(slots=True)
class Link:
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


class Requests:
    """Answers what is asked of one keeper.

    Args:
        keeper: whose jobs.
        about: what every answer to `run` tells of the agent (`emulated`, `devices`, …).
        paging: pages jobs out and in; None where nobody can.
    """

    def __init__(
        self, keeper: Keeper, about: Callable[[], dict[str, Any]], paging: Paging | None
    ) -> None:
        self._keeper, self._about, self._paging = keeper, about, paging

    async def answer(self, link: Link, caller: Caller, op: str, fields: dict[str, Any]) -> None:
        """Do what is asked.

        Raises:
            RotaError: it cannot be done, or the caller may not ask for it.
        """
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

    async def _run(self, link: Link, caller: Caller, fields: dict[str, Any]) -> None:
        wish = protocol.read_wish(fields)
        self._check_emulation(fields)
        _check_weight(wish, caller)
        ticket = self._keeper.enter(wish, caller)
        try:
            if ticket.refused:
                raise ticket.refused
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

    async def _wait(self, link: Link, ticket: Ticket) -> None:
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

    async def _stop(self, link: Link, caller: Caller, fields: dict[str, Any]) -> None:
        name, grace = protocol.read_stop(fields)
        id_ = self._find(name, caller)
        ticket = self._keeper.ticket(id_)
        if ticket is not None:
            pidfd.send(ticket.waiting.root, signal.SIGTERM)
            link.say({"stopped": {"job": id_, "killed": False, "waited": True}})
            return
        killed = await self._keeper.stop(id_, grace)
        link.say({"stopped": {"job": id_, "killed": killed, "waited": False}})

    async def _page(self, link: Link, caller: Caller, fields: dict[str, Any], *, out: bool) -> None:
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


async def _changed(ticket: Ticket, left: asyncio.Task[bytes]) -> bool:
    """Wait for news of a ticket; False when the one who waits has left."""
    news = asyncio.create_task(ticket.changed.wait())
    try:
        await asyncio.wait({news, left}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        news.cancel()
    ticket.changed.clear()
    return not left.done()
