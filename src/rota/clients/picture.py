"""What this room tells the others: clients on GPUs, and who is there without being one."""

from __future__ import annotations

import enum
from collections.abc import Iterable
from dataclasses import dataclass

from rota.model import Client, Replica

Labels = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True, order=True)
class ProcessKey:
    """One process, for ever.

    Attributes:
        pid: in the host's pid namespace.
        started: field 22 of /proc/<pid>/stat, in clock ticks since boot; 0 where /proc hides it,
            and then no gate of it can be worked.
    """

    pid: int
    started: int


@dataclass(frozen=True, slots=True)
class LocalJob:
    """A program that was started under turns without Kubernetes.

    Attributes:
        name: unique on the node; also what `ROTA_JOB` says in its processes' environment.
        user: whose it is, by name.
        owner: and by uid: another user's process is never taken for a part of it by its
            environment.
        root: its first process.
        replicas: what it holds.
    """

    name: str
    user: str
    owner: int
    root: ProcessKey
    replicas: tuple[Replica, ...]

    @property
    def id(self) -> str:
        """The client's id."""
        return f"job/{self.name}"


@dataclass(frozen=True, slots=True)
class ClientOnGpu:
    """One client on one GPU that it holds replicas of.

    Attributes:
        client: as `model.Client.id`. One that holds replicas of several GPUs is there once for each.
        gpu: UUID of the GPU or MIG device.
        replicas: what it holds of it, in ordinal order; never empty.
        processes: its processes on this GPU, by pid; may be empty.
        labels: as `model.Client.labels`.
        starting: its processes that have initialized CUDA and have no context yet, by pid.
    """

    client: str
    gpu: str
    replicas: tuple[Replica, ...]
    processes: tuple[ProcessKey, ...]
    labels: Labels
    starting: tuple[ProcessKey, ...] = ()


class Why(enum.StrEnum):
    """Why a process on a GPU belongs to no client of it."""

    NOBODY = "in no pod and no job"
    STRANGER = "in a container that the kubelet does not know"
    NO_REPLICA = "holds no replica of this GPU"
    HIDDEN = "not to be seen in /proc"


@dataclass(frozen=True, slots=True)
class Unmanaged:
    """A process on a GPU that belongs to no client of it.

    Attributes:
        gpu: UUID of the GPU or MIG device.
        process: the process.
        why: the reason.
        pending: it is new, and the kubelet may yet say whose it is; for a few seconds only.
        labels: namespace, pod and container, or job and user, as far as they are known; else uid.
    """

    gpu: str
    process: ProcessKey
    why: Why
    pending: bool
    labels: Labels


@dataclass(frozen=True, slots=True)
class Picture:
    """Who is on the node's GPUs now.

    Attributes:
        clients: sorted by client and GPU.
        unmanaged: sorted by GPU and process.
    """

    clients: tuple[ClientOnGpu, ...] = ()
    unmanaged: tuple[Unmanaged, ...] = ()

    def on(self, gpu: str) -> tuple[ClientOnGpu, ...]:
        """The clients of one GPU."""
        return tuple(client for client in self.clients if client.gpu == gpu)

    def whole(self) -> tuple[Client, ...]:
        """Each client once, with all its replicas and processes on all GPUs."""
        by_id: dict[str, list[ClientOnGpu]] = {}
        for client in self.clients:
            by_id.setdefault(client.client, []).append(client)
        return tuple(_whole(id_, parts) for id_, parts in by_id.items())


def _whole(id_: str, parts: Iterable[ClientOnGpu]) -> Client:
    parts = tuple(parts)
    replicas = tuple(replica for part in parts for replica in part.replicas)
    pids = frozenset(process.pid for part in parts for process in part.processes)
    return Client(id_, replicas, pids, parts[0].labels)
