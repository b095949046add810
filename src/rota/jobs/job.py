"""The nouns of this room as frozen dataclasses. No I/O."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal, get_args

from rota.model import Replica

JobClass = Literal["interactive", "standard", "batch"]
CLASSES: tuple[str, ...] = get_args(JobClass)

State = Literal["running", "ending"]

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,39}")
"""What a job may be called."""

HEAVIEST = 100.0
"""The largest weight that is taken."""

LIGHTEST = 0.01
"""The smallest: what is left of a share below that is no share."""


@dataclass(frozen=True, slots=True, order=True)
class Process:
    """One process, for ever.

    Attributes:
        pid: in the agent's pid namespace.
        started: field 22 of /proc/<pid>/stat, in clock ticks since boot.
    """

    pid: int
    started: int


@dataclass(frozen=True, slots=True)
class Wish:
    """What `rota run` asks for.

    Attributes:
        name: what the job is to be called.
        command: program and arguments; only the job's user and root are shown it.
        replicas: how many, at least 1.
        gpu: index or UUID of the GPU that they must be of; empty for any.
        weight: a factor on its share of time, above 0.
        job_class: as the pod annotation `rota.dev/class`.
        memory_bytes: a memory limit of its own on each GPU; None for that of its share.
        wait: stay in line where there is no room.
    """

    name: str
    command: tuple[str, ...]
    replicas: int = 1
    gpu: str = ""
    weight: float = 1.0
    job_class: JobClass = "standard"
    memory_bytes: int | None = None
    wait: bool = True


@dataclass(frozen=True, slots=True)
class Job:
    """A program that holds replicas.

    Attributes:
        id: unique on the node for ever: the name and five letters. It is also what `ROTA_JOB` says
            in the environment of the job's processes.
        wish: what was asked for.
        uid: whose it is; another user's process is never a part of it by its environment.
        user: the same by name.
        root: its first process, which was `rota run` and is the command now.
        replicas: what it holds, in the order of choice.
        since: when it got them, in seconds since the epoch.
        processes: all its processes as they were last seen; the root among them while it lives.
        state: `ending` once it was told to stop.
    """

    id: str
    wish: Wish
    uid: int
    user: str
    root: Process
    replicas: tuple[Replica, ...]
    since: float
    processes: frozenset[Process] = frozenset()
    state: State = "running"

    @property
    def name(self) -> str:
        """What it is called."""
        return self.wish.name

    @property
    def devices(self) -> tuple[str, ...]:
        """UUIDs of the devices that it may use, each once."""
        return tuple(dict.fromkeys(replica.device for replica in self.replicas))


@dataclass(frozen=True, slots=True)
class Waiting:
    """A job that is in line.

    Attributes:
        id: the id that it will have.
        wish: what it asks for.
        uid: whose it is.
        user: the same by name.
        root: the process that waits, and will become the command.
        since: when it came, in seconds since the epoch.
    """

    id: str
    wish: Wish
    uid: int
    user: str
    root: Process
    since: float


def name_of(command: tuple[str, ...]) -> str:
    """A name for a command: that of its program, as far as a name may be that."""
    base = command[0].rpartition("/")[2] if command else ""
    plain = re.sub(r"[^A-Za-z0-9._-]+", "-", base).lstrip("._-")[:40]
    return plain if NAME.fullmatch(plain) else "job"
