"""Ballast in hand: each GPU's in a thread of its own, which reads, weighs, lets go and takes.

Letting 23 GiB go takes 16 ms, and a driver may hang: neither may hold up the loop or another GPU.
Jobs of one GPU follow one another, so the last one that was asked for is what holds in the end.
"""

from __future__ import annotations

import queue
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field

from rota.errors import GpuError
from rota.gpu.doors import BallastDoor, InventoryDoor
from rota.memory.ballast import Change, Grain, Held, Plan, change
from rota.memory.limits import Shares
from rota.memory.occupancy import Occupancy
from rota.memory.terms import GpuTerms, Reading, Stretch, weigh

OpenDoors = Callable[[], tuple[BallastDoor, InventoryDoor]]
"""What holds memory, and what reads the GPUs."""

READINGS = 4
"""Looks at a GPU at most until two of them agree: an open client takes and frees meanwhile."""


@dataclass(frozen=True, slots=True)
class Stand:
    """What came of one job.

    Attributes:
        stretch: for which stretch.
        at: when the GPU was read for it, monotonic seconds.
        shares: who is due what; None where the GPU could not be read.
        occupancy: where its memory is.
        plan: what was to be held; None where that could not be said.
        held: the bytes that are held.
        reading: the seconds that reading the GPU took.
        seconds: what letting go and taking took.
        trouble: why it is not as it should be; empty where it is.
        processes: pid → bytes, of all that were there.
    """

    stretch: Stretch
    at: float
    shares: Shares | None = None
    occupancy: Occupancy | None = None
    plan: Plan | None = None
    held: int = 0
    reading: float = 0.0
    seconds: float = 0.0
    trouble: str = ""
    processes: Mapping[int, int] = field(default_factory=dict)


class Job:
    """One change of ballast that was asked for.

    Attributes:
        stand: what came of it; None until it is done.
    """

    def __init__(self, terms: GpuTerms | None, stretch: Stretch, *, quiet: bool = False) -> None:
        """`terms` None: everything is let go. `quiet`: every gate is closed, nobody allocates."""
        self.terms = terms
        self.stretch = stretch
        self.quiet = quiet
        self.stand: Stand | None = None


class Hold:
    """The ballast of one GPU. Only its own thread touches what is held, and its doors.

    Where anything fails, everything is let go, and the doors are opened anew at the next job.

    Args:
        gpu: its UUID.
        doors: opens the doors.
        wake: called from the thread after each job.
    """

    def __init__(self, gpu: str, doors: OpenDoors, wake: Callable[[], None]) -> None:
        self._begin(gpu, doors, wake)
        self._thread = threading.Thread(target=self._run, name="ballast", daemon=True)
        self._thread.start()

    def _begin(self, gpu: str, doors: OpenDoors, wake: Callable[[], None]) -> None:
        self._gpu, self._open_doors, self._wake = gpu, doors, wake
        self._jobs: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        self._doors: tuple[BallastDoor, InventoryDoor] | None = None
        self._pieces: defaultdict[int, list[int]] = defaultdict(list)
        self._grain = Grain()
        self._system: int | None = None
        self._listed: dict[int, int] = {}
        self._left: tuple[int, dict[int, str]] | None = None

    def submit(self, job: Job) -> Job:
        """Have it done after all that was asked before."""
        self._jobs.put(job)
        return job

    def end(self, timeout: float) -> None:
        """Let the thread end after what it is doing."""
        self._jobs.put(None)
        self._thread.join(timeout)

    def _run(self) -> None:
        while job := self._jobs.get():
            job.stand = self._do(job)
            self._wake()
        self._let_go()

    def _do(self, job: Job) -> Stand:
        try:
            if job.terms is None:
                self._let_go()
                return Stand(job.stretch, time.monotonic())
            return self._weigh(job.terms, job.stretch, job.quiet)
        except Exception as error:  # a thread that ended would hold up every turn of this GPU
            what = str(error) if isinstance(error, GpuError) else f"{type(error).__name__}: {error}"
            self._let_go()
            return Stand(job.stretch, time.monotonic(), trouble=what)

    def _let_go(self) -> None:
        """Let everything go, whatever the driver says to it."""
        self._pieces.clear()
        self._left = None
        doors, self._doors = self._doors, None
        if doors:
            for door in doors:
                with suppress(GpuError):
                    door.close()

    def _opened(self) -> tuple[BallastDoor, InventoryDoor]:
        if self._doors is None:
            self._doors = self._open_doors()
        return self._doors

    def _weigh(self, terms: GpuTerms, stretch: Stretch, quiet: bool) -> Stand:
        at = time.monotonic()
        reading, is_sound = self._read(stretch, quiet)
        read = time.monotonic() - at
        found = weigh(terms, stretch, reading, self._system or 0, self._grain)
        seconds = self._become(found.plan.ballast) if is_sound or quiet else 0.0
        lacking = found.plan.ballast - self._held if is_sound else 0
        moved = self._held - reading.held
        where = Occupancy(
            reading.use(stretch.owners),
            sum(reading.processes.get(pid, 0) for pid in reading.processes.keys() - stretch.owners),
            self._held,
            reading.system,
            reading.memory.free - moved,
            reading.memory.total,
        )
        self._left = (where.free, dict(stretch.owners)) if is_sound else None
        trouble = f"{lacking} bytes could not be held: somebody took them" if lacking else ""
        return Stand(
            stretch, at, found.shares, where, found.plan, self._held, read, seconds, trouble,
            reading.processes,
        )  # fmt: skip

    def _read(self, stretch: Stretch, quiet: bool) -> tuple[Reading, bool]:
        """The GPU, and whether all of the reading is of one moment.

        It is where as much is free after the processes were listed as before. Where it is not,
        somebody was taking or freeing all the while: from such a reading more would be held than
        the open client leaves, and it would be refused what is its own. So the ballast of a turn
        stays as it is then. At a handover the processes are not listed again where as much is free
        as was left free: to list them takes ten times as long.
        """
        _, inventory = self._opened()
        memory = inventory.memory(self._gpu)
        if quiet and self._left == (memory.free, stretch.owners):
            return Reading(memory, self._listed, self._held), True
        for _ in range(READINGS):
            self._listed = {p.pid: p.memory_bytes for p in inventory.processes(self._gpu)}
            before, memory = memory, inventory.memory(self._gpu)
            if before == memory:
                break
        reading = Reading(memory, self._listed, self._held)
        known = reading.system if self._system is None else min(self._system, reading.system)
        self._system = max(0, known)
        return reading, before == memory

    @property
    def _held(self) -> int:
        return sum(size * len(handles) for size, handles in self._pieces.items())

    def _become(self, size: int) -> float:
        """Hold so much, as far as there is room; the seconds that it took."""
        ballast, _ = self._opened()
        if size and self._held == 0:
            self._grain = Grain(granule=max(Grain().granule, ballast.granule(self._gpu)))
        steps = self._steps(size)
        if not (steps.release or steps.take):
            return 0.0
        begun = time.monotonic()
        going = [self._pieces[piece].pop() for piece in steps.release]
        if going:
            ballast.release(self._gpu, going)
        if steps.take:
            handles = ballast.take(self._gpu, steps.take)
            for piece, handle in zip(steps.take, handles, strict=False):
                self._pieces[piece].append(handle)
        return time.monotonic() - begun

    def _steps(self, size: int) -> Change:
        chunks = len(self._pieces[self._grain.chunk])
        rest = next((s for s, got in self._pieces.items() if got and s != self._grain.chunk), 0)
        return change(Held(chunks, rest), size, self._grain)
