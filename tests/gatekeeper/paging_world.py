"""A node that knows nothing of the pager: memory is where calls put it, and calls end when told.

The conductor, its memory keeper and its pager are the real ones; only threads, the clock and the
driver are the test's.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from rota.gatekeeper import memory as keeper
from rota.gatekeeper.ballast import Hold, Job
from rota.gatekeeper.conductor import Conductor
from rota.gatekeeper.gate import Demand
from rota.gatekeeper.journal import Journal, Process
from rota.gatekeeper.lanes import PAGING, Call, Done, Lanes, Relay
from rota.gatekeeper.memory import Memory
from rota.gatekeeper.messages import ClientSpec, Node, PagingSettings, Settings
from rota.gatekeeper.paged import PagedJournal
from rota.gatekeeper.paging import Paging
from rota.gatekeeper.rescue import Rescue
from rota.gatekeeper.rooms import PAGING as BOUND
from rota.gatekeeper.rooms import Reading
from rota.gpu.doors import GateGone, GateIllegal, GateState, GateUnsupported
from rota.memory.limits import Claim, Pool
from rota.memory.terms import GpuTerms
from rota.model import GpuMemory, GpuProcess
from rota.scheduling.terms import Rules, Share

MIB = 2**20
TOTAL = 10_000 * MIB
CONTEXT = 100 * MIB
HOST = 16_000 * MIB
IDLE = 1.0
FIRST = 4_194_301
"""A pid that no process has."""


@dataclass
class Puppet(Demand):
    """One program: what it wants, what it has, and what the driver did to it."""

    process: Process
    client: str
    size: int = CONTEXT
    wanting: bool = False
    state: GateState = GateState.OPEN
    gone: bool = False
    unfit: bool = False

    @property
    def ended(self) -> bool:
        return self.gone

    @property
    def resident(self) -> int:
        return 0 if self.gone or self.state is GateState.PAGED_OUT else self.size

    @property
    def copied(self) -> int:
        return self.size if self.state is GateState.PAGED_OUT and not self.gone else 0

    def readable(self) -> bool:
        return True

    def wants(self) -> bool:
        return self.wanting and not self.gone

    def asleep(self) -> bool:
        return not self.wanting

    def at_rest(self) -> bool:
        return False

    def close(self) -> None:
        return


@dataclass
class World:
    """One GPU, a host, and the programs on them."""

    puppets: dict[Process, Puppet] = field(default_factory=dict)
    ballast: dict[int, int] = field(default_factory=dict)
    handles: int = 0
    others: int = 0
    now: float = 1000.0
    wall: float = 1e9
    entering: set[Process] = field(default_factory=set)
    faults: list[str] = field(default_factory=list)

    @property
    def free(self) -> int:
        taken = sum(p.resident for p in self.puppets.values()) + sum(self.ballast.values())
        return TOTAL - taken

    @property
    def free_host(self) -> int:
        return HOST - self.others - sum(p.copied for p in self.puppets.values())

    def must(self, holds: bool, what: str) -> None:
        if not holds:
            self.faults.append(what)

    # What the driver does

    def state(self, pid: int, started: int) -> GateState:
        return self._of(pid, started).state

    def open(self, pid: int, started: int) -> None:
        self._turn(self._of(pid, started), GateState.CLOSED, GateState.OPEN)

    def close(self, pid: int, started: int, timeout: float) -> None:
        self._turn(self._of(pid, started), GateState.OPEN, GateState.CLOSED)

    def page_out(self, pid: int, started: int) -> None:
        puppet = self._of(pid, started)
        if puppet.unfit:
            raise GateUnsupported("it uses what cannot be checkpointed")
        self._turn(puppet, GateState.CLOSED, GateState.PAGED_OUT)
        self.must(self.free_host >= 0, "the host is overfilled")

    def page_in(self, pid: int, started: int) -> None:
        puppet = self._of(pid, started)
        self.must(self.free >= puppet.size, f"{puppet.client} is lost: its restore has no room")
        self._turn(puppet, GateState.PAGED_OUT, GateState.CLOSED)

    def begins_to_enter(self, process: Process) -> None:
        puppet = self.puppets[process]
        self.must(self.free >= puppet.size, f"a restore of {puppet.client} begins without room")
        others = [p for p in self.puppets.values() if p.client != puppet.client and not p.gone]
        for other in others:
            self.must(other.state is not GateState.OPEN, f"{other.client} could take the room")

    def _of(self, pid: int, started: int) -> Puppet:
        puppet = self.puppets.get(Process(pid, started))
        if puppet is None or puppet.gone:
            raise GateGone("gone")
        return puppet

    def _turn(self, puppet: Puppet, before: GateState, after: GateState) -> None:
        if puppet.state is not before:
            raise GateIllegal(f"{puppet.client} is {puppet.state}, not {before}")
        puppet.state = after

    # What is read of it

    def memory(self, _: str) -> GpuMemory:
        return GpuMemory(TOTAL, TOTAL - self.free, self.free)

    def processes(self, _: str) -> tuple[GpuProcess, ...]:
        return tuple(
            GpuProcess(p.process.pid, p.resident) for p in self.puppets.values() if p.resident
        )

    def granule(self, _: str) -> int:
        return 2 * MIB

    def take(self, _: str, sizes: Sequence[int]) -> list[int]:
        taken = []
        for size in sizes:
            if size > self.free:
                break
            self.handles += 1
            self.ballast[self.handles] = size
            taken.append(self.handles)
        return taken

    def release(self, _: str, handles: Sequence[int]) -> None:
        for handle in handles:
            del self.ballast[handle]


class Hands(Lanes):
    """Lanes whose calls come back at the next step; those that page come back when told."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.waiting: list[tuple[Process, Call, Relay | None]] = []
        self.paging: list[tuple[Process, Call]] = []
        self.ended: list[Done] = []

    def submit(
        self, process: Process, call: Call, timeout: float = 0.0, then: Relay | None = None
    ) -> None:
        if call is Call.PAGE_IN:
            self.world.begins_to_enter(process)
        if call in PAGING:
            self.paging.append((process, call))
        else:
            self.waiting.append((process, call, then))

    @property
    def silent(self) -> bool:
        return not (self.waiting or self.ended)

    def done(self) -> Iterator[Done]:
        waiting, self.waiting = self.waiting, []
        ended, self.ended = self.ended, []
        yield from ended
        for process, call, then in waiting:
            done = self._do(process, call)
            yield done
            if follower := then.take() if then else None:
                skipped = Done(follower, Call.OPEN, skipped=True)
                yield skipped if done.error else self._do(follower, Call.OPEN)

    def finish(self, place: int = 0) -> None:
        """A step has ended."""
        process, call = self.paging.pop(place)
        self.ended.append(self._do(process, call))

    def forget(self, process: Process) -> None:
        return

    def _do(self, process: Process, call: Call) -> Done:
        verbs: Mapping[Call, Callable[[], Any]] = {
            Call.OPEN: lambda: self.world.open(*process),
            Call.CLOSE: lambda: self.world.close(*process, 1.0),
            Call.STATE: lambda: None,
            Call.PAGE_OUT: lambda: self.world.page_out(*process),
            Call.PAGE_IN: lambda: self.world.page_in(*process),
        }
        try:
            verbs[call]()
        except (GateIllegal, GateGone, GateUnsupported) as error:
            known = process in self.world.puppets
            state = self.world.puppets[process].state if known else None
            return Done(process, call, error, state)
        return Done(process, call, None, GateState.OPEN)


class Now(Hold):
    """Ballast without a thread: what is asked is done."""

    world: World

    def __init__(self, gpu: str, doors: Any, wake: Callable[[], None]) -> None:
        self._thread = None  # type: ignore[assignment]
        super()._begin(gpu, doors, wake)

    def submit(self, job: Job) -> Job:
        stand = self._do(job)
        job.stand = replace(stand, at=self.world.now)
        return job

    def end(self, timeout: float) -> None:
        self._let_go()


class Host:
    """Host memory of the world, read at once."""

    reading = False

    def __init__(self, world: World) -> None:
        self.world = world

    def now(self, pids: Mapping[str, tuple[int, ...]], now: float) -> Reading:
        levels = dict.fromkeys(pids, ("host", BOUND))
        return Reading(now, {"host": self.world.free_host}, levels, HOST)

    def forget(self) -> None:
        return


class Doors:
    """The world as the two doors that a keeper of ballast opens."""

    def __init__(self, world: World) -> None:
        self.memory, self.processes = world.memory, world.processes
        self.granule, self.take, self.release = world.granule, world.take, world.release

    def close(self) -> None:
        return


class Stage:
    """The gatekeeper's rooms on a world, and what a person or an agent does to them."""

    def __init__(self, monkeypatch: Any, oversubscribe: float = 3.0) -> None:
        self.world = World()
        self.folder = Path(tempfile.mkdtemp(prefix="rota"))
        self.never: set[str] = set()
        self.settings = PagingSettings(enabled=True, idle_after=IDLE, host_part=1.0)
        self.oversubscribe = oversubscribe
        self.shared = True
        kind = type("NowHere", (Now,), {"world": self.world})
        monkeypatch.setattr(keeper, "Hold", kind)
        self.begin()

    def begin(self) -> None:
        """A gatekeeper starts."""
        self.journal, self.paged = Journal(self.folder), PagedJournal(self.folder)
        self.hands = Hands(self.world)
        doors = Doors(self.world)
        memory = Memory(lambda: (doors, doors), lambda: None)  # type: ignore[arg-type,return-value]
        host: Any = Host(self.world)
        self.paging = Paging(self.paged, memory, host, lambda: self.world.wall)
        self.conductor = Conductor(
            self.journal, self.hands, lambda pid, s: self.world.puppets[Process(pid, s)],
            memory, self.paging,
        )  # fmt: skip
        self.tell()

    def kill(self, *, finished: bool) -> None:
        """kill -9 of the gatekeeper; the driver ends its steps, with effect or without."""
        while finished and self.hands.paging:
            self.hands.finish()
        self.world.ballast.clear()
        self.world.wall += 3600
        door: Any = self.world
        left = Rescue(self.journal, door, self.paged, lambda: self.world.wall).run(30.0)
        self.world.must(left == [], f"not put right: {left}")
        self.begin()

    def close(self) -> None:
        shutil.rmtree(self.folder)

    def client(self, name: str, count: int = 1, *, never: bool = False) -> None:
        for _ in range(count):
            process = Process(FIRST + len(self.world.puppets), 1)
            self.world.puppets[process] = Puppet(process, name)
        self.never |= {name} if never else set()
        self.tell()

    def of(self, name: str) -> list[Puppet]:
        return [p for p in self.world.puppets.values() if p.client == name and not p.gone]

    @property
    def clients(self) -> list[str]:
        return sorted({p.client for p in self.world.puppets.values() if not p.gone})

    def tell(self) -> None:
        names = self.clients
        specs = tuple(
            ClientSpec(
                name, {"G": Share()}, frozenset(p.process for p in self.of(name)),
                pageable=name not in self.never,
            )
            for name in names
        )  # fmt: skip
        pool = Pool("G", TOTAL, 4, CONTEXT, 0, self.oversubscribe, context=CONTEXT)
        terms = GpuTerms(pool, tuple(Claim(name) for name in names), auto=False)
        settings = Settings(handing="disjoint", rules=Rules(quantum=0.05, burst=0.0))
        told = (terms,) if self.shared else ()
        self.conductor.tell(Node(settings, specs, told, self.settings), self.world.now)

    def play(self, seconds: float, tick: float = 0.01) -> None:
        end = self.world.now + seconds
        while self.world.now < end:
            self.conductor.step(self.world.now)
            self.world.now += tick
            self.world.wall += tick

    def settle(self, seconds: float = 3.0) -> None:
        """Play on, with every step ending soon."""
        end = self.world.now + seconds
        while self.world.now < end:
            self.play(0.1)
            while self.hands.paging:
                self.hands.finish()

    def place(self, name: str) -> str:
        return str(self.paging.describe(self.world.now).get(name, {}).get("place", "resident"))

    def wish(self, name: str, wanting: bool) -> None:
        for puppet in self.of(name):
            puppet.wanting = wanting

    def grab(self, name: str, size: int) -> int:
        """A client whose gates are open takes what it can get of so much; the bytes that it got."""
        for puppet in self.of(name):
            if puppet.state is GateState.OPEN:
                got = min(size, self.world.free)
                puppet.size += got
                return got
        return 0
