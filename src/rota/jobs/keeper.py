"""Keeps holdings in step with what really runs: gives out, follows processes, takes back.

A job lives as long as any process of it does. The end of its root is told by the kernel (a pidfd);
then, and now and then, all processes are looked at. Replicas are taken back only after two looks, a
moment apart, found nothing: a process in the middle of an exec shows no mark for a moment.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace

import structlog

from rota.errors import RotaError
from rota.jobs import processes, stopping
from rota.jobs.job import Job, Process, Waiting, Wish
from rota.jobs.ledger import Ask, Holding, Ledger, Pool
from rota.jobs.line import Caller, Standing, Ticket, new_id
from rota.jobs.members import Claim, assign
from rota.jobs.roots import Roots
from rota.jobs.state import StateFile
from rota.model import Replica

PERIOD = 5.0
"""Seconds between looks while every job's root lives: new processes are remembered by then."""

ORPHANED = 0.5
"""The same while a job lives on without its root: the kernel tells nothing of the others' end."""

APART = 0.05
"""Seconds between the two looks that must find nothing."""

Admit = Callable[[str, Wish, tuple[Replica, ...]], None]
"""A job's id, what it asks for, and the replicas that it would get."""


class Keeper:
    """All local jobs of one agent. Everything but `look` happens in the event loop.

    Args:
        pool: what there is to hold.
        state: where jobs are kept for the next agent.
        log: the agent's.
        extra_env: what a job must be given besides, to find an emulated GPU.
        changed: called after each change of `jobs`.
        admit: raises why a wish cannot be granted on these replicas, though they are free.
    """

    def __init__(
        self,
        pool: Pool,
        state: StateFile,
        log: structlog.typing.FilteringBoundLogger,
        *,
        extra_env: Mapping[str, str] | None = None,
        changed: Callable[[], None] = lambda: None,
        admit: Admit = lambda _id, _wish, _replicas: None,
    ) -> None:
        """Nobody holds anything; see `restore`."""
        self._ledger = Ledger(pool)
        self._state = state
        self._log = log
        self._extra_env = dict(extra_env or {})
        self._told = changed
        self._admit = admit
        self._jobs: dict[str, Job] = {}
        self._tickets: dict[str, Ticket] = {}
        self._empty_since: dict[str, float] = {}
        self._gone: dict[str, asyncio.Event] = {}
        self._wake = asyncio.Event()
        self._roots = Roots(self._wake.set)
        self._looking = asyncio.Lock()

    @property
    def jobs(self) -> tuple[Job, ...]:
        """The jobs of now, the oldest first."""
        return tuple(self._jobs.values())

    @property
    def waiting(self) -> tuple[Waiting, ...]:
        """Who is in line, the first first."""
        return tuple(self._tickets[ask.job].waiting for ask in self._ledger.line)

    @property
    def pool(self) -> Pool:
        """What there is to hold."""
        return self._ledger.pool

    def environment(self, job: Job) -> dict[str, str]:
        """What a job's environment needs."""
        devices = ",".join(job.devices)
        return self._extra_env | {
            "CUDA_VISIBLE_DEVICES": devices,
            "NVIDIA_VISIBLE_DEVICES": devices,
            processes.MARK: job.id,
            "ROTA_REPLICAS": ",".join(replica.id for replica in job.replicas),
        }

    def enter(self, wish: Wish, caller: Caller) -> Ticket:
        """Stand in line; the ticket has its job at once if there is room.

        Raises:
            Refused: no wait would be long enough.
        """
        device = self.pool.find(wish.gpu)
        id_ = new_id(wish.name, {*self._jobs, *self._tickets})
        self._ledger.ask(Ask(id_, caller.uid, wish.replicas, device))
        for job in self.jobs:
            if job.root == caller.process:
                self._roots.let_go(
                    job.id
                )  # `rota run -- rota run -- …`: the same process, another job
        waiting = Waiting(id_, wish, caller.uid, caller.user, caller.process, time.time())
        ticket = self._tickets[id_] = Ticket(waiting)
        self._settle()
        return ticket

    def ticket(self, id_: str) -> Ticket | None:
        """The ticket of one in line."""
        return self._tickets.get(id_)

    def leave(self, ticket: Ticket) -> None:
        """Leave the line. Whoever has been served is followed to the end instead."""
        if ticket.job is None:
            self._tickets.pop(ticket.waiting.id, None)
            self._ledger.free(ticket.waiting.id)
            self._settle()

    def standing(self, ticket: Ticket) -> Standing:
        """How it stands for one that waits."""
        line = self.waiting
        place = line.index(ticket.waiting)
        why = self._ledger.blocked().get(ticket.waiting.id, "room")
        mine = ticket.waiting.uid
        device = self.pool.find(ticket.waiting.wish.gpu)
        if why == "quota":
            holders = tuple(job for job in self.jobs if job.uid == mine)
        else:
            holders = tuple(job for job in self.jobs if not device or device in job.devices)
        return Standing(why, line[:place], holders)

    def refit(self, pool: Pool) -> None:
        """Another config is served: holdings stay, and who waits in vain is told."""
        for id_, reason in self._ledger.refit(pool).items():
            ticket = self._tickets.pop(id_)
            ticket.refused = RotaError(reason, hint="the config has changed")
            ticket.changed.set()
        self._settle()

    def shut(self, devices: frozenset[str]) -> None:
        """Give out nothing of devices that are not well."""
        self._ledger.shut(devices)
        self._settle()

    async def restore(self) -> None:
        """Find the jobs of an earlier agent again: those of which a process lives."""
        try:
            before = self._state.load()
        except RotaError as error:
            self._log.error("no earlier job is found again", reason=str(error))
            return
        claims = [Claim(job.id, job.uid, job.root, job.processes) for job in before]
        seen = await asyncio.to_thread(processes.look)
        found = assign(seen, claims)
        for job in before:
            if found[job.id] and self._ledger.restore(Holding(job.id, job.uid, job.replicas)):
                self._begin(replace(job, processes=found[job.id]))
                self._log.info("job found again", job=job.id, user=job.user)
        self._save()

    def write_again(self) -> None:
        """What is kept for the next agent was taken away."""
        self._state.forget()
        self._save()

    async def run(self) -> None:
        """Follow the jobs' processes, for ever."""
        while True:
            try:
                await self._look_once()
            except OSError as error:
                self._log.error("the processes cannot be read", reason=str(error))
            with suppress(TimeoutError):
                await asyncio.wait_for(self._wake.wait(), self._pause())
            self._wake.clear()

    async def stop(self, id_: str, grace: float) -> bool:
        """End a job: SIGTERM now, SIGKILL after `grace` seconds; True if it had to be killed.

        Raises:
            RotaError: there is no such job, or a process of it does not end.
        """
        return await stopping.stop(self, id_, grace)

    def ending(self, id_: str) -> asyncio.Event:
        """Say that a job was told to stop; the event is set when it has ended.

        Raises:
            RotaError: there is no such job.
        """
        if id_ not in self._jobs:
            raise RotaError("no such job", where=id_)
        self._jobs[id_] = replace(self._jobs[id_], state="ending")
        self._told()
        return self._gone.setdefault(id_, asyncio.Event())

    async def look(self, id_: str) -> frozenset[Process]:
        """The processes of a job now."""
        await self._look_once()
        return self._jobs[id_].processes if id_ in self._jobs else frozenset()

    def close(self) -> None:
        """Let go of every process. The jobs go on, and the next agent finds them."""
        self._roots.close()

    def _settle(self) -> None:
        """Give out what can be given, and tell everybody in line."""
        given = self._given()
        for holding in given:
            waiting = self._tickets[holding.job].waiting
            self._begin(
                Job(
                    id=waiting.id,
                    wish=waiting.wish,
                    uid=waiting.uid,
                    user=waiting.user,
                    root=waiting.root,
                    replicas=holding.replicas,
                    since=time.time(),
                    processes=frozenset((waiting.root,)),
                )
            )
        if given:
            self._save()
        for holding in given:
            ticket = self._tickets.pop(holding.job)
            ticket.job = self._jobs[holding.job]
            ticket.changed.set()
            self._log.info("job begins", job=holding.job, user=ticket.job.user)
        for ticket in self._tickets.values():
            ticket.changed.set()

    def _given(self) -> list[Holding]:
        """What is given out now; whoever is refused it leaves the line, and others may come."""
        given: list[Holding] = []
        while some := self._ledger.settle():
            refused = [holding for holding in some if not self._is_admitted(holding)]
            given += [holding for holding in some if holding not in refused]
            if not refused:
                break
        return given

    def _is_admitted(self, holding: Holding) -> bool:
        ticket = self._tickets[holding.job]
        try:
            self._admit(holding.job, ticket.waiting.wish, holding.replicas)
        except RotaError as error:
            self._ledger.free(holding.job)
            del self._tickets[holding.job]
            ticket.refused = error
            ticket.changed.set()
            return False
        return True

    def _begin(self, job: Job) -> None:
        self._jobs[job.id] = job
        self._roots.hold(job.id, job.root)
        self._told()

    async def _look_once(self) -> None:
        async with self._looking:  # an older look must not undo what a newer one found
            await self._look()

    async def _look(self) -> None:
        claims = self._claims()
        if not self._jobs:
            return
        seen = await asyncio.to_thread(processes.look)
        found = assign(seen, claims)
        for claim in claims:
            job = self._jobs.get(claim.job)
            if job is not None:
                self._jobs[job.id] = replace(job, processes=found[job.id])
                self._judge(claim, bool(found[job.id]))
        self._save()

    def _claims(self) -> tuple[Claim, ...]:
        jobs = [
            Claim(job.id, job.uid, job.root if job.id in self._roots else None, job.processes)
            for job in self.jobs
        ]
        return (*jobs, *(Claim(each.id, each.uid, each.root) for each in self.waiting))

    def _judge(self, claim: Claim, lives: bool) -> None:
        """Take a job's replicas back if nothing of it was found for long enough."""
        if lives or claim.root is not None:
            self._empty_since.pop(claim.job, None)
        elif time.monotonic() - self._empty_since.setdefault(claim.job, time.monotonic()) >= APART:
            self._end(claim.job)

    def _end(self, id_: str) -> None:
        job = self._jobs.pop(id_)
        del self._empty_since[id_]
        self._ledger.free(id_)
        self._log.info("job ended", job=id_, user=job.user)
        self._gone.pop(id_, asyncio.Event()).set()
        self._told()
        self._settle()

    def _pause(self) -> float:
        if self._empty_since:
            return APART
        return ORPHANED if len(self._roots) < len(self._jobs) else PERIOD

    def _save(self) -> None:
        try:
            self._state.save(self._jobs.values())
        except OSError as error:
            self._log.error("the jobs cannot be kept for a restart", reason=str(error))
