"""The agent without a kubelet: gives replicas to local jobs over a control socket.

Everything else (the config that is followed, the health of GPUs, turns) is as on a node. Where it
was started for one user, it ends itself when nobody has needed it for a while.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from contextlib import AbstractContextManager, AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rota.agent import jobs
from rota.agent.claims import Yielding
from rota.agent.config import Served
from rota.agent.doors import Hardware
from rota.agent.home import Home, tell_ready
from rota.agent.lock import Taken
from rota.agent.logs import Logger
from rota.agent.service import Agent
from rota.agent.settings import Settings
from rota.errors import RotaError
from rota.gpu.health import Change
from rota.jobs.folder import SOCKET, STATE
from rota.jobs.job import Wish
from rota.jobs.keeper import Keeper
from rota.jobs.ledger import Pool
from rota.jobs.peer import Access
from rota.jobs.server import ControlServer
from rota.jobs.state import StateFile
from rota.model import Replica

if TYPE_CHECKING:
    from rota.agent.turns import Turns

LOOK = 0.5
"""Seconds between looks whether anybody needs this agent; a part of its patience if that is less."""

CLAIMS_LOOK = 1.0
"""Seconds between looks whether a node's agent gives out a GPU."""


GRACE = 10.0
"""Seconds that a job has to end by itself that is over its memory limit on a full GPU."""


@dataclass(frozen=True, slots=True)
class LocalTerms:
    """What a local agent is told besides.

    Attributes:
        access: who may use the control socket.
        unused: end after so many seconds without a job or a question; None for never.
        ready_fd: a descriptor that is told, and closed, when the agent listens.
    """

    access: Access = field(default_factory=Access)
    unused: float | None = None
    ready_fd: int | None = None


class LocalAgent(Agent):
    """One agent for local jobs. `run` serves until `stop` is called, or until it is unused."""

    _needs = "rota.agent.turns"

    def __init__(self, settings: Settings, log: Logger, terms: LocalTerms | None = None) -> None:
        """Nothing is opened yet."""
        super().__init__(settings, log)
        self._terms = terms or LocalTerms()
        self._keeper: Keeper | None = None
        self._server: ControlServer | None = None
        self._sick: frozenset[str] = frozenset()
        self._yielding = Yielding(settings.claims_dir, ())
        self._given_way: frozenset[str] = frozenset()
        self._home = Home(settings.run_dir, lasts=self._terms.unused is None)
        self._no_turns: dict[str, str] = {}

    def snapshot(self) -> Mapping[str, Any]:
        """As an agent's, with jobs in place of what a kubelet is told."""
        keeper = self._keeper
        resources = self._served.plan.resources
        return {
            **super().snapshot(),
            "ready": self._server is not None,
            "resources": [
                {"name": each.name, "replicas": [{"id": r.id} for r in each.replicas]}
                for each in resources
            ],
            "jobs": [
                {"id": job.id, "user": job.user, "replicas": [r.id for r in job.replicas]}
                for job in (keeper.jobs if keeper else ())
            ],
        }

    def _only(self) -> AbstractContextManager[None]:
        return self._home.only()

    def _may_look(self) -> Access:
        return self._terms.access

    async def _connect(self, stack: AsyncExitStack, hardware: Hardware) -> None:
        self._home.move_in(stack)
        self._keeper = Keeper(
            Pool(),
            StateFile(self._settings.run_dir / STATE),
            self._log,
            extra_env=hardware.environment,
            changed=self._jobs_changed,
            admit=self._admit,
        )
        stack.callback(self._keeper.close)
        self._shut()
        await self._keeper.restore()

    async def _serve(self, served: Served) -> None:
        assert self._keeper is not None
        self._keeper.refit(jobs.pool_of(served, self._log))

    def _pass_on(self, change: Change) -> None:
        assert self._keeper is not None
        devices = {d.uuid for d in self._keeper.pool.devices if change.uuid in (d.uuid, d.gpu.uuid)}
        self._sick = self._sick - devices if change.healthy else self._sick | devices
        self._shut()

    def _shut(self) -> None:
        """Give out nothing of what is sick, or given out by a node's agent."""
        assert self._keeper is not None
        ours = [gpu for gpu in self._inventory.gpus if gpu.uuid in self._given_way]
        parts = {part.uuid for gpu in ours for part in gpu.mig_devices}
        self._keeper.shut(self._sick | self._given_way | parts)

    def _claim(self, stack: AsyncExitStack) -> None:
        """A node's agent goes first: where it has every GPU there is nothing to serve."""
        gpus = [gpu.uuid for gpu in self._inventory.gpus]
        self._yielding = Yielding(self._settings.claims_dir, gpus)
        self._given_way = self._yielding.look(time.monotonic())
        if self._given_way.issuperset(gpus):
            raise Taken(
                "a node's agent gives out the GPUs of this machine",
                where=str(self._settings.claims_dir),
                hint="run the program in a pod, or stop that agent first",
            )

    async def _give_way(self) -> None:
        """Leave a GPU alone from when a node's agent claims it until that has gone for good."""
        while True:
            now = self._yielding.look(time.monotonic())
            if now != self._given_way:
                self._given_way = now
                self._log.warning("GPUs of a node's agent are not given to jobs", gpus=sorted(now))
                self._shut()
            await asyncio.sleep(CLAIMS_LOOK)

    def _make_turns(self, hardware: Hardware) -> Turns:
        from rota.agent.order import reasons
        from rota.agent.turns import Turns
        from rota.clients.sightings import Place

        self._no_turns = {gpu: why for gpu, why in reasons(self._inventory).items() if why}
        assert self._keeper is not None
        keeper = self._keeper
        return Turns(
            hardware.door,
            self._inventory,
            Place(),
            self._settings.run_dir,
            emulated=self._settings.emulated_gpu if self._inventory.emulated else None,
            log=self._log,
            jobs=lambda: jobs.local_jobs(keeper),
            wishes=lambda client: jobs.wish_of(keeper, client),
            spawn=not self._settings.gatekeeper_elsewhere,
            end=self._end,
        )

    async def _end(self, client: str) -> None:
        """End the job that is the worst offender."""
        assert self._keeper is not None
        await self._keeper.stop(jobs.job_of(client), GRACE)

    def _admit(self, id_: str, wish: Wish, replicas: tuple[Replica, ...]) -> None:
        """Has it the memory that it asks for, beside those that are there?"""
        assert self._keeper is not None
        if self._turns:
            newcomer = (jobs.client_of(id_), replicas, wish.memory_bytes)
            self._turns.admit(jobs.asked_of(self._keeper), newcomer)

    def _jobs_changed(self) -> None:
        if self._turns:
            self._turns.wake()

    async def _until_stopped(self, hardware: Hardware) -> None:
        assert self._keeper is not None
        self._server = ControlServer(
            self._keeper, self._about, self._log, jobs.JobPages(self._turns)
        )
        path = self._settings.run_dir / SOCKET
        await self._server.start(path, self._terms.access)
        self._log.info("serving local jobs", socket=str(path))
        tasks = [asyncio.create_task(self._keep("jobs", self._keeper.run))]
        tasks.append(asyncio.create_task(self._keep("folder", self._stay_reachable)))
        tasks.append(asyncio.create_task(self._keep("claims", self._give_way)))
        if self._terms.unused is not None:
            tasks.append(asyncio.create_task(self._until_unused(self._terms.unused)))
        try:
            tell_ready(self._terms.ready_fd)
            await super()._until_stopped(hardware)
        finally:
            for task in tasks:
                task.cancel()
            if self._server.is_at(path):
                path.unlink(missing_ok=True)
            await self._server.close()
            self._home.close()

    async def _stay_reachable(self) -> None:
        """Come back if the folder is taken away, before somebody starts a second agent there."""
        assert self._server is not None
        path, told = self._settings.run_dir / SOCKET, ""
        while True:
            await asyncio.sleep(LOOK)
            if self._server.is_at(path):
                continue
            try:
                await self._come_back(self._server, path)
            except Taken:
                self._log.error("another agent has come in this one's place; it ends")
                self.stop()
                return
            except RotaError as error:
                if told != str(error):
                    self._log.error("the agent's folder was taken away", reason=str(error))
                told = str(error)

    async def _come_back(self, server: ControlServer, path: Path) -> None:
        assert self._keeper is not None
        self._home.come_back()
        await server.start(path, self._terms.access)
        self._keeper.write_again()
        self._log.warning("the agent's folder was taken away; it is there again", folder=str(path))

    async def _until_unused(self, patience: float) -> None:
        loop = asyncio.get_running_loop()
        used = loop.time()
        while loop.time() - used < patience:
            await asyncio.sleep(min(LOOK, patience / 2))
            if self._in_use():
                used = loop.time()
        self._log.info("nobody has needed this agent; it ends", seconds=patience)
        self.stop()

    def _in_use(self) -> bool:
        assert self._keeper is not None
        assert self._server is not None
        return bool(self._keeper.jobs or self._server.connections)

    def _about(self) -> dict[str, Any]:
        pool = self._keeper.pool if self._keeper else Pool()
        return jobs.about(self._settings, self._served, pool, self._no_turns)
