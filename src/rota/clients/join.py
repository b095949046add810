"""Puts processes, containers, jobs and replicas together into one picture. Pure."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from rota.clients.cgroup import ContainerRef
from rota.clients.holdings import container_of
from rota.clients.logs import ContainerName
from rota.clients.picture import (
    ClientOnGpu,
    Labels,
    LocalJob,
    Picture,
    ProcessKey,
    Unmanaged,
    Why,
)
from rota.clients.processes import Trail
from rota.kubelet.pod_resources import PodAllocation
from rota.model import Replica

Find = Callable[[ContainerRef], ContainerName | None]


@dataclass(frozen=True, slots=True)
class Owner:
    """Whose a process is, whether or not that one holds anything.

    Attributes:
        container: the container that it runs in, or its pod alone.
        job: the name of the local job that it belongs to.
        user: that job's user.
        stranger: it runs in a container that the kubelet's log folders do not know.
    """

    container: ContainerName | None = None
    job: str = ""
    user: str = ""
    stranger: bool = False

    @property
    def settled(self) -> bool:
        """No later look will tell more."""
        return bool(self.job or (self.container and self.container.container))

    @property
    def client(self) -> str:
        """The id of the client that it would belong to; empty for none."""
        if self.job:
            return f"job/{self.job}"
        return client_id(self.container) if self.container and self.settled else ""

    @property
    def labels(self) -> Labels:
        """What is known of it."""
        if self.job:
            return (("job", self.job), ("user", self.user))
        return container_labels(self.container) if self.container else ()


@dataclass(frozen=True, slots=True)
class Sighting:
    """A process that the driver lists.

    Attributes:
        process: the process; start time 0 where /proc hides it.
        owner: whose it is.
        uid: its user; None where /proc hides it.
    """

    process: ProcessKey
    owner: Owner = Owner()
    uid: int | None = None


def client_id(container: ContainerName) -> str:
    """`<namespace>/<pod>/<container>`."""
    return f"{container.namespace}/{container.pod}/{container.container}"


def container_labels(container: ContainerName) -> Labels:
    """Namespace, pod, and the container where it is known."""
    labels = (("namespace", container.namespace), ("pod", container.pod))
    return (*labels, ("container", container.container)) if container.container else labels


def identify(trail: Trail, find: Find, jobs: Iterable[LocalJob], marks: bool) -> Owner:
    """Whose a process is.

    Args:
        trail: what /proc tells of it.
        find: the kubelet's log folders.
        jobs: the local jobs of now.
        marks: its environment may name its container; only for an embedded kubelet, since on a
            node a pod could so take another's name.
    """
    refs = trail.refs + ((trail.mark,) if marks and trail.mark else ())
    container = next(filter(None, map(find, refs)), None)
    if container:
        return Owner(container)
    job = next((job for job in jobs if _belongs(trail, job)), None)
    if job:
        return Owner(job=job.name, user=job.user)
    return Owner(stranger=bool(refs))


def _belongs(trail: Trail, job: LocalJob) -> bool:
    """By descent, by a session that the job's root opened, or by the mark and the same user."""
    return (
        job.root in (trail.facts.key, *trail.ancestors)
        or trail.facts.session == job.root.pid
        or (trail.job == job.name and trail.facts.owner == job.owner)
    )


def join(
    seen: Mapping[str, Sequence[Sighting]],
    allocations: Iterable[PodAllocation],
    jobs: Iterable[LocalJob],
    young: Collection[ProcessKey] = (),
    starting: Mapping[str, Sequence[Sighting]] | None = None,
) -> Picture:
    """Who is on the GPUs.

    Args:
        seen: GPU → the processes on it. What is held of other GPUs counts for nothing.
        allocations: what containers hold.
        jobs: the local jobs and what they hold.
        young: processes that may yet turn out to be somebody's.
        starting: GPU → processes that have no context yet; those of no client count for nothing.
    """
    held = _Held(seen)
    for allocation in allocations:
        container = container_of(allocation)
        replicas = map(Replica.parse, allocation.ids)
        held.add(client_id(container), container_labels(container), replicas)
    for job in jobs:
        held.add(job.id, (("job", job.name), ("user", job.user)), job.replicas)
    theirs: dict[tuple[str, str], set[ProcessKey]] = {}
    others: set[Unmanaged] = set()
    for gpu, sightings in seen.items():
        for one in sightings:
            place = (one.owner.client, gpu)
            if place in held.replicas:
                theirs.setdefault(place, set()).add(one.process)
            else:
                pending = one.process in young and _undecided(one.owner, held)
                others.add(_unmanaged(gpu, one, pending))
    coming: dict[tuple[str, str], set[ProcessKey]] = {}
    for gpu, sightings in (starting or {}).items():
        for one in sightings:
            coming.setdefault((one.owner.client, gpu), set()).add(one.process)
    return Picture(
        held.clients(theirs, coming), tuple(sorted(others, key=lambda o: (o.gpu, o.process)))
    )


class _Held:
    """What clients hold of the GPUs that are looked at."""

    def __init__(self, gpus: Iterable[str]) -> None:
        self.gpus = frozenset(gpus)
        self.holders: dict[str, Labels] = {}
        self.replicas: dict[tuple[str, str], set[Replica]] = {}

    def add(self, client: str, labels: Labels, replicas: Iterable[Replica]) -> None:
        for replica in replicas:
            if replica.device in self.gpus:
                self.holders[client] = labels
                self.replicas.setdefault((client, replica.device), set()).add(replica)

    def clients(
        self,
        processes: Mapping[tuple[str, str], Collection[ProcessKey]],
        starting: Mapping[tuple[str, str], Collection[ProcessKey]],
    ) -> tuple[ClientOnGpu, ...]:
        return tuple(
            ClientOnGpu(
                client,
                gpu,
                tuple(sorted(replicas, key=lambda replica: (replica.ordinal or 0, replica.id))),
                tuple(sorted(processes.get((client, gpu), ()))),
                self.holders[client],
                tuple(sorted(starting.get((client, gpu), ()))),
            )
            for (client, gpu), replicas in sorted(self.replicas.items(), key=lambda item: item[0])
        )


def unexplained(picture: Picture, starting: Mapping[str, Sequence[Sighting]]) -> set[ProcessKey]:
    """Starting processes in containers of which the kubelet may not have said everything yet."""
    clients = {one.client for one in picture.clients}
    return {
        one.process
        for sightings in starting.values()
        for one in sightings
        if one.owner.stranger or (one.owner.container and one.owner.client not in clients)
    }


def _undecided(owner: Owner, held: _Held) -> bool:
    """It runs in a container of which the kubelet may not have said everything yet."""
    if owner.container is None:
        return owner.stranger
    return owner.client not in held.holders


def _unmanaged(gpu: str, one: Sighting, pending: bool) -> Unmanaged:
    labels = one.owner.labels
    if not labels and one.uid is not None:
        labels = (("uid", str(one.uid)),)
    return Unmanaged(gpu, one.process, _why(one), pending, labels)


def _why(one: Sighting) -> Why:
    if not one.process.started:
        return Why.HIDDEN
    if one.owner.job or one.owner.container:
        return Why.NO_REPLICA
    return Why.STRANGER if one.owner.stranger else Why.NOBODY
