"""Finds processes that have initialized CUDA and have no context yet: the driver lists none of them.

`cuInit` opens the files of all GPUs that the program may see, a fraction of a second before it has
a context. Which files a process has open is told by the links in `/proc/<pid>/fd`; on an emulated
GPU by the same links to other files. Reading those of all processes ten times a second would cost
too much, so only two kinds are looked at: those that have just come, and those of clients.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from rota.clients.join import Owner, Sighting
from rota.clients.picture import LocalJob, ProcessKey
from rota.clients.processes import Processes
from rota.emulation import layout
from rota.model import Gpu

NEW = 1.0
"""Seconds for which every new process is looked at. Then it is asked once whose it is."""

STRANGE = 5.0
"""The same for one in a container that the kubelet's log folders do not know yet."""

LONGEST = 5.0
"""Seconds for which a process counts as starting, all in all: some never make a context."""

OLD_ONES = 4
"""Processes of clients whose files are read in one look though nothing says that they changed."""

PLACED = 16
"""Processes of which one look asks whose they are."""

RELIST = 1.0
"""Seconds after which all pids are listed although the kernel has given out none since."""

WhoseIs = Callable[[int], Sighting | None]
"""A pid → the process and whose it is; None when it has ended."""


@dataclass(frozen=True, slots=True)
class DeviceFiles:
    """The files by which a process that uses a GPU is known.

    Attributes:
        gpus: path, as `/proc/<pid>/fd` links to it, → UUID of the GPU.
    """

    gpus: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, gpus: Collection[Gpu]) -> DeviceFiles:
        """Those of the real driver: they have these names in every container, too."""
        return cls({f"/dev/nvidia{gpu.minor}": gpu.uuid for gpu in gpus})

    @classmethod
    def emulated(cls, folder: Path, gpus: Collection[Gpu]) -> DeviceFiles:
        """Those of the GPUs that are emulated in that folder."""
        place = folder.resolve()
        return cls({str(layout.device_path(place, gpu.uuid)): gpu.uuid for gpu in gpus})

    def opened(self, links: Collection[str]) -> frozenset[str]:
        """The GPUs that are open, by the links of a process."""
        return frozenset(self.gpus[link] for link in links if link in self.gpus)


@dataclass(slots=True)
class _Seen:
    """One pid.

    Attributes:
        since: when it was first seen.
        owner: whose it is; None while that was not asked.
        key: which process that is.
        files: how many files it had open when that was last asked; 0 before Linux 6.2.
        told: seconds for which it counted as starting.
        at: when it was last found to be starting; None while it is not.
        done: it will not count as starting any more.
    """

    since: float
    owner: Owner | None = None
    key: ProcessKey | None = None
    files: int = 0
    told: float = 0.0
    at: float | None = None
    done: bool = False


class Starters:
    """Looks for starting processes. Call from one thread at a time.

    Args:
        files: of the GPUs.
        processes: reads /proc.
    """

    def __init__(self, files: DeviceFiles, processes: Processes) -> None:
        self._files = files
        self._processes = processes
        self._seen: dict[int, _Seen] | None = None
        self._new: dict[int, None] = {}
        self._last_pid = ""
        self._relist = float("-inf")
        self._theirs: dict[str, set[int]] = {}
        self._queue: list[int] = []
        self._jobs: frozenset[LocalJob] = frozenset()

    def look(
        self,
        listed: Collection[int],
        holders: Collection[str],
        jobs: Collection[LocalJob],
        whose: WhoseIs,
        now: float,
    ) -> dict[str, list[Sighting]]:
        """GPU → the processes that have it open and no context yet.

        Args:
            listed: pids that have a context, as the driver tells it.
            holders: the ids of the clients that hold something.
            jobs: the local jobs of now.
            whose: asked of processes that are starting, and once of each that stays.
            now: monotonic seconds.

        Raises:
            OSError: /proc could not be read, for want of descriptors or memory.
        """
        if not self._files.gpus:
            return {}
        self._come_and_go(now)
        self._take_jobs(frozenset(jobs), now)
        for pid in listed:
            self._has_context(pid)
        self._place(whose, now)
        found: dict[str, list[Sighting]] = {}
        for pid in self._candidates(holders):
            for gpu, one in self._starting(pid, whose, now):
                found.setdefault(gpu, []).append(one)
        return found

    def _come_and_go(self, now: float) -> None:
        last = self._processes.last_pid()
        if last and last == self._last_pid and now < self._relist:
            return
        self._last_pid, self._relist = last, now + RELIST
        pids = self._processes.pids()
        if self._seen is None:
            # What is open by now may have been for long: a program that is paged out, for one.
            self._seen = {pid: _Seen(now, done=bool(self._open(pid))) for pid in pids}
            self._new = dict.fromkeys(pid for pid, one in self._seen.items() if not one.done)
            return
        for pid in self._seen.keys() - pids:
            self._forget(pid)
        for pid in pids - self._seen.keys():
            self._seen[pid] = _Seen(now)
            self._new[pid] = None

    def _take_jobs(self, jobs: frozenset[LocalJob], now: float) -> None:
        """The first process of a job was there before the job: it is as good as new."""
        for job in jobs - self._jobs:
            if job.root.pid in self._all:
                self._forget(job.root.pid)
                self._all[job.root.pid] = _Seen(now)
                self._new[job.root.pid] = None
        self._jobs = jobs

    def _has_context(self, pid: int) -> None:
        if (one := self._all.get(pid)) and not one.done:
            self._settle(pid, one)

    def _place(self, whose: WhoseIs, now: float) -> None:
        """Ask of those that are new no more whose they are, and keep those of clients."""
        due = (pid for pid in self._new if now - self._all[pid].since >= NEW)
        for pid in [pid for pid, _ in zip(due, range(PLACED), strict=False)]:
            one = self._all[pid]
            sighting = whose(pid)
            owner = sighting.owner if sighting else Owner()
            if owner.stranger and now - one.since < STRANGE:
                continue
            del self._new[pid]
            if sighting and owner.client:
                one.owner, one.key = owner, sighting.process
                self._theirs.setdefault(owner.client, set()).add(pid)

    def _candidates(self, holders: Collection[str]) -> list[int]:
        """The new ones, and of the clients' others those that changed and some in turn."""
        old = {pid for client in holders for pid in self._theirs.get(client, ())}
        moved = [pid for pid in old if self._has_moved(pid)]
        self._queue = [pid for pid in self._queue if pid in old]
        self._queue += sorted(old.difference(self._queue))
        turn, rest = self._queue[:OLD_ONES], self._queue[OLD_ONES:]
        self._queue = rest + turn
        return sorted({*self._new, *moved, *turn})

    def _has_moved(self, pid: int) -> bool:
        """It is starting, or has not as many files open as before: that is cheap to ask."""
        one = self._all[pid]
        before, one.files = one.files, self._processes.open_files(pid)
        return one.files != before or one.at is not None

    def _starting(self, pid: int, whose: WhoseIs, now: float) -> list[tuple[str, Sighting]]:
        one = self._all[pid]
        gpus = self._open(pid)
        sighting = whose(pid) if gpus else None
        if not sighting:
            one.at = None
            return []
        if one.key not in (None, sighting.process):
            self._forget(pid)
            self._new[pid] = None
            one = self._all[pid] = _Seen(now)
        one.key = sighting.process
        one.told += now - one.at if one.at is not None else 0.0
        one.at = now
        if one.told >= LONGEST or self._is_copy(pid):
            self._settle(pid, one)
            return []
        return [(gpu, sighting) for gpu in sorted(gpus)]

    def _is_copy(self, pid: int) -> bool:
        """It is a fork of a process that has the GPU open: CUDA does not work in it."""
        parent = self._processes.parent_of_copy(pid)
        return bool(parent and self._open(parent))

    def _open(self, pid: int) -> frozenset[str]:
        return self._files.opened(self._processes.links(pid))

    def _settle(self, pid: int, one: _Seen) -> None:
        """Look at it no more."""
        one.done, one.at = True, None
        self._drop(pid, one)

    def _forget(self, pid: int) -> None:
        self._drop(pid, self._all.pop(pid))

    def _drop(self, pid: int, one: _Seen) -> None:
        self._new.pop(pid, None)
        if one.owner and (pids := self._theirs.get(one.owner.client)):
            pids.discard(pid)
            if not pids:
                del self._theirs[one.owner.client]

    @property
    def _all(self) -> dict[int, _Seen]:
        assert self._seen is not None
        return self._seen
