"""One look at all GPUs: which processes are there, and whose each of them is.

What is known of a process for good is remembered by pid and start time. What is not is asked again
at each look while the process is young, since its container's log folder or its job may come a
moment after it, and later now and then.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from rota.clients.join import Owner, Sighting, identify
from rota.clients.logs import LogFolders
from rota.clients.picture import LocalJob, ProcessKey
from rota.clients.processes import Processes, ProcessFacts
from rota.clients.starters import DeviceFiles, Starters
from rota.errors import GpuError
from rota.gpu.doors import InventoryDoor

YOUNG = 5.0
"""Seconds for which a process of a container that seems to hold nothing may still turn out to."""

LATER = 10.0
"""Seconds between two attempts to find out whose an older process is."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where the node's kubelet leaves its traces.

    Attributes:
        logs: its log folders, `pods` and `containers`, are in here.
        pod_resources: its PodResources socket; None where there is no kubelet.
        marks: processes tell their container in their environment.
    """

    logs: Path = Path("/var/log")
    pod_resources: Path | None = None
    marks: bool = False

    @classmethod
    def of(cls, kubelet_dir: Path) -> Place:
        """The kubelet whose plugin folder this is: an embedded one keeps its logs beside it."""
        home = kubelet_dir.parent
        socket = home / "pod-resources" / "kubelet.sock"
        if (home / "logs" / "pods").is_dir():
            return cls(home / "logs", socket, marks=True)
        return cls(pod_resources=socket)


@dataclass(frozen=True, slots=True)
class Look:
    """What one look saw.

    Attributes:
        seen: GPU → the processes on it, by pid.
        young: those of them that are new.
        starting: GPU → the processes that have it open and no context on any yet.
        silent: GPU → why the driver told nothing of it; what it told last counts on.
    """

    seen: Mapping[str, Sequence[Sighting]]
    young: Collection[ProcessKey] = frozenset()
    silent: Mapping[str, str] = field(default_factory=dict)
    starting: Mapping[str, Sequence[Sighting]] = field(default_factory=dict)


@dataclass(slots=True)
class _Known:
    """What is known of one process: whose, since when, and when to ask again."""

    sighting: Sighting
    first: float
    again: float


class Sightings:
    """Looks at GPUs. Every method may block; call from one thread at a time.

    Args:
        door: tells the processes of a GPU.
        gpus: UUIDs of GPUs and MIG devices, as replicas name them.
        place: the node's kubelet.
        processes: reads /proc.
        files: of the GPUs; without them no starting process is found.
        paged: GPU → the processes whose memory is not there but in host memory: the driver does not
            list them.
    """

    def __init__(
        self,
        door: InventoryDoor,
        gpus: Sequence[str],
        place: Place,
        processes: Processes | None = None,
        files: DeviceFiles | None = None,
        paged: Callable[[str], Iterable[int]] = lambda _: (),
    ) -> None:
        self._door = door
        self._paged = paged
        self._place = place
        self._processes = processes or Processes()
        self._starters = Starters(files or DeviceFiles(), self._processes)
        self._logs = LogFolders(place.logs)
        self._pids: dict[str, tuple[int, ...]] = dict.fromkeys(gpus, ())
        self._known: dict[ProcessKey, _Known] = {}
        self._jobs: tuple[LocalJob, ...] = ()

    def look(
        self, jobs: Sequence[LocalJob], now: float, holders: Collection[str] | None = ()
    ) -> Look:
        """Look once.

        Args:
            jobs: the local jobs of now.
            now: monotonic seconds.
            holders: ids of the clients whose starting processes are looked for, however old; None:
                nobody can hold anything, so nobody's are looked for.

        Raises:
            OSError: /proc could not be read, for want of descriptors or memory.
        """
        silent = self._ask()
        if self._jobs != tuple(jobs):
            self._jobs_changed(tuple(jobs), now)
        pids = sorted({pid for pids in self._pids.values() for pid in pids})
        found = {pid: one for pid in pids if (one := self._sighting(pid, now))}
        seen = {
            gpu: tuple(found[pid] for pid in sorted(pids) if pid in found)
            for gpu, pids in self._pids.items()
        }
        starting: Mapping[str, Sequence[Sighting]] = {}
        if holders is not None:
            starting = self._starters.look(
                pids, holders, jobs, lambda pid: self._sighting(pid, now), now
            )
        here = {one.process for one in found.values()}
        here |= {one.process for ones in starting.values() for one in ones}
        self._known = {key: known for key, known in self._known.items() if key in here}
        young = {key for key, known in self._known.items() if now - known.first < YOUNG}
        return Look(seen, frozenset(young), silent, starting)

    def _jobs_changed(self, jobs: tuple[LocalJob, ...], now: float) -> None:
        """Ask again whose each process is, also those of a job whose name another job has now."""
        fresh = {job.name for job in jobs if job not in self._jobs}
        self._jobs = jobs
        for key, known in list(self._known.items()):
            known.again = now
            if known.sighting.owner.job in fresh:
                del self._known[key]

    def _ask(self) -> dict[str, str]:
        """Ask the driver for the pids on each GPU; why it did not tell, where it did not."""
        silent = {}
        for gpu in self._pids:
            try:
                listed = [one.pid for one in self._door.processes(gpu)]
                self._pids[gpu] = tuple(dict.fromkeys([*listed, *self._paged(gpu)]))
            except GpuError as error:
                silent[gpu] = str(error)
        return silent

    def _sighting(self, pid: int, now: float) -> Sighting | None:
        facts = self._processes.facts(pid)
        if facts is None:
            return Sighting(ProcessKey(pid, 0)) if self._processes.hidden(pid) else None
        known = self._known.get(facts.key)
        if known and (known.sighting.owner.settled or now < known.again):
            return known.sighting
        first = known.first if known else now
        again = now if now - first < YOUNG else now + LATER
        sighting = Sighting(facts.key, self._owner(facts), facts.owner)
        self._known[facts.key] = _Known(sighting, first, again)
        return sighting

    def _owner(self, facts: ProcessFacts) -> Owner:
        trail = self._processes.trail(facts)
        return identify(trail, self._logs.find, self._jobs, self._place.marks)
