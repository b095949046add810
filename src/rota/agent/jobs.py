"""Local jobs in the words of the other rooms, and what a command is told of their agent."""

from __future__ import annotations

import pwd
from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from rota.agent.config import Served
from rota.agent.logs import Logger
from rota.agent.settings import Settings
from rota.clients.picture import LocalJob, ProcessKey
from rota.errors import RotaError
from rota.jobs.keeper import Keeper
from rota.jobs.ledger import Pool
from rota.memory.hints import caps
from rota.memory.sizes import CONTEXT
from rota.scheduling.terms import Priority

if TYPE_CHECKING:
    from rota.agent.memory import Asked
    from rota.agent.order import Wish
    from rota.agent.turns import Turns

_KIND = "job/"
"""Before a job's id: the id of the client that it is."""


def client_of(job: str) -> str:
    """The client that the job with that id is."""
    return _KIND + job


def job_of(client: str) -> str:
    """The id of the job that a client is."""
    return client.removeprefix(_KIND)


class JobPages:
    """Pages local jobs out and in."""

    def __init__(self, turns: Turns | None) -> None:
        assert turns is not None
        self._turns = turns

    async def places(self) -> Mapping[str, Mapping[str, Any]]:
        """Job → where its memory is, of those that are not simply on the GPU."""
        try:
            state = await self._turns.state()
        except RotaError:
            return {}
        return {job_of(client): where for client, where in state.get("paging", {}).items()}

    async def page(self, job: str, *, out: bool) -> AsyncIterator[dict[str, Any]]:
        """Bring a job to host memory, or back; how it goes on. RotaError if it cannot be."""
        async for step in self._turns.page(client_of(job), out=out):
            yield {
                "place": step.place, "bytes": step.size, "seconds": step.seconds,
                "short": step.short, "done": step.done,
            }  # fmt: skip


def local_jobs(keeper: Keeper) -> tuple[LocalJob, ...]:
    """The jobs as the clients' room knows them: their name there is the id, which is unique."""
    return tuple(
        LocalJob(
            job.id, job.user, job.uid, ProcessKey(job.root.pid, job.root.started), job.replicas
        )
        for job in keeper.jobs
    )


def wish_of(keeper: Keeper, client: str) -> Wish:
    """What a client was given besides its replicas."""
    from rota.agent.order import Wish

    job = next((job for job in keeper.jobs if client == client_of(job.id)), None)
    if job is None:
        return Wish()
    return Wish(job.wish.weight, Priority(job.wish.job_class), memory=job.wish.memory_bytes)


def asked_of(keeper: Keeper) -> list[Asked]:
    """What the jobs that are there have asked for of memory."""
    return [(client_of(job.id), job.replicas, job.wish.memory_bytes) for job in keeper.jobs]


def pool_of(served: Served, log: Logger) -> Pool:
    """What a config makes of this machine for local jobs."""
    said = served.config.rota.jobs
    quotas: dict[int, int | None] = {}
    for user, count in said.quotas:
        try:
            quotas[pwd.getpwnam(user).pw_uid] = count
        except KeyError:
            log.warning("a quota for a user that is not here", user=user)
    allocation = replace(served.config.rota.allocation, policy=served.config.policy)
    return Pool(served.plan.resources, allocation, quotas, said.quota)


def about(
    settings: Settings, served: Served, pool: Pool, no_turns: Mapping[str, str]
) -> dict[str, Any]:
    """What a command is told of the agent: which devices it has, and what holds of them.

    Args:
        settings: how it was started.
        served: the config of now.
        pool: what there is to hold.
        no_turns: device → why its programs cannot take turns.
    """
    turns = served.config.rota.turns.mode == "exclusive"
    return {
        "run_dir": str(settings.run_dir),
        "emulate": settings.emulate,
        "hints": _hints(served),
        "config": str(settings.config or ""),
        "devices": [
            {
                "index": device.index,
                "uuid": device.uuid,
                "product": device.gpu.product,
                "replicas": sum(r.device == device.uuid for r in pool.replicas),
                "no_turns": no_turns.get(device.uuid, "") if turns else "",
            }
            for device in pool.devices
        ],
    }


def _hints(served: Served) -> dict[str, Any]:
    """What a command needs to tell its frameworks their limit: bytes of one replica by GPU."""
    said, resources = served.config.rota.memory, served.plan.resources
    if not said.hints:
        return {}
    ones = [next(r for r in each.replicas if r.device == d.uuid)
            for each in resources for d in each.devices]  # fmt: skip
    found = {one.device: caps((one,), resources, said, CONTEXT) for one in ones}
    parts = {gpu: [cap.limit, cap.total] for gpu, some in found.items() for cap in some}
    return {"frameworks": list(said.hints), "context": CONTEXT, "parts": parts}
