"""The picture, kept fresh: what calls for a new one, and what does not."""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest
import structlog

from rota.clients import watch
from rota.clients.picture import LocalJob, Picture, ProcessKey, Why
from rota.clients.processes import Processes
from rota.clients.sightings import Place, Sightings
from rota.clients.watch import ClientWatch
from rota.errors import KubeletError
from rota.kubelet.pod_resources import PodAllocation
from rota.model import Replica

if TYPE_CHECKING:
    from tests.clients.conftest import FakeDoor, FakeLogs, FakeProc

UID = "93580201-87d5-44e6-9779-f6153ca17637"
ID = "b2" * 32
CGROUP = f"0::/kubepods/pod{UID}/{ID}"
HELD = PodAllocation("ml", "train", "main", "nvidia.com/gpu", ("a::0",))
PATIENCE = 30.0


@dataclass
class FakeKubelet:
    """Answers what it is told to; `gate` holds answers back."""

    allocations: Sequence[PodAllocation] = ()
    refuses: bool = False
    asked: int = 0
    gate: asyncio.Event = field(default_factory=asyncio.Event)

    async def list(self) -> Sequence[PodAllocation]:
        self.asked += 1
        await self.gate.wait()
        if self.refuses:
            raise KubeletError("no such socket")
        return self.allocations


@dataclass
class Watched:
    """A watch that runs, and everything that it told."""

    watch: ClientWatch
    door: FakeDoor
    told: list[Picture]
    lines: io.StringIO

    async def until(self, condition: Callable[[], Any]) -> Any:
        async with asyncio.timeout(PATIENCE):
            while not (value := condition()):
                await asyncio.sleep(0.005)
        return value

    async def looks(self, count: int) -> None:
        """Let it look that often from now on."""
        until = self.door.asked + (count + 1) * len(self.door.pids)
        await self.until(lambda: self.door.asked >= until)

    def logged(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.lines.getvalue().splitlines()]

    @property
    def processes(self) -> dict[str, list[int]]:
        return {c.client: [p.pid for p in c.processes] for c in self.watch.picture.clients}


@pytest.fixture(autouse=True)
def no_timetable(monkeypatch: pytest.MonkeyPatch) -> None:
    """The kubelet is asked only when something calls for it, however slow the machine is."""
    monkeypatch.setattr(watch, "RELIST", 1e9)


Start = Callable[..., Awaitable[Watched]]


@pytest.fixture
async def kubelet() -> FakeKubelet:
    fake = FakeKubelet()
    fake.gate.set()
    return fake


@pytest.fixture
async def start(proc: FakeProc, logs: FakeLogs) -> AsyncIterator[Start]:
    tasks: list[asyncio.Task[None]] = []

    async def begin(door: FakeDoor, **more: Any) -> Watched:
        lines = io.StringIO()
        log = structlog.wrap_logger(
            structlog.PrintLogger(lines),
            processors=[structlog.processors.JSONRenderer()],
            wrapper_class=structlog.make_filtering_bound_logger(0),
        )
        told: list[Picture] = []
        sightings = Sightings(door, tuple(door.pids), Place(logs.root), Processes(proc.root))
        watching = ClientWatch(sightings, told.append, log, **more)
        tasks.append(asyncio.create_task(watching.run()))
        return Watched(watching, door, told, lines)

    yield begin
    for task in tasks:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def test_the_first_picture_knows_what_the_kubelet_says(
    proc: FakeProc,
    logs: FakeLogs,
    door: Callable[..., FakeDoor],
    kubelet: FakeKubelet,
    start: Start,
) -> None:
    logs.start("ml", "train", UID, "main", ID)
    kubelet.allocations = [HELD]
    pid = proc.add(cgroup=CGROUP)
    watched = await start(door(a=[pid]), lister=kubelet.list)
    await watched.until(lambda: watched.told)
    assert watched.processes == {"ml/train/main": [pid]}


async def test_a_newcomer_joins_and_one_that_ends_leaves(
    proc: FakeProc,
    logs: FakeLogs,
    door: Callable[..., FakeDoor],
    kubelet: FakeKubelet,
    start: Start,
) -> None:
    logs.start("ml", "train", UID, "main", ID)
    kubelet.allocations = [HELD]
    watched = await start(door(a=[]), lister=kubelet.list)
    await watched.until(lambda: watched.processes == {"ml/train/main": []})
    pid = proc.add(cgroup=CGROUP)
    watched.door.pids["a"] = [pid]
    await watched.until(lambda: watched.processes == {"ml/train/main": [pid]})
    proc.remove(pid)
    await watched.until(lambda: watched.processes == {"ml/train/main": []})
    assert len(watched.told) == 3
    assert kubelet.asked == 1


async def test_nothing_is_told_while_nothing_changes(
    proc: FakeProc, door: Callable[..., FakeDoor], start: Start
) -> None:
    watched = await start(door(a=[proc.add()]))
    await watched.until(lambda: watched.told)
    await watched.looks(3)
    assert len(watched.told) == 1


async def test_a_pod_that_the_kubelet_tells_of_a_moment_late_is_pending_and_then_a_client(
    proc: FakeProc,
    logs: FakeLogs,
    door: Callable[..., FakeDoor],
    kubelet: FakeKubelet,
    start: Start,
) -> None:
    watched = await start(door(a=[]), lister=kubelet.list)
    await watched.until(lambda: kubelet.asked == 1)
    logs.start("ml", "train", UID, "main", ID)
    pid = proc.add(cgroup=CGROUP)
    watched.door.pids["a"] = [pid]
    await watched.until(lambda: watched.told)
    assert [(one.why, one.pending) for one in watched.told[0].unmanaged] == [(Why.NO_REPLICA, True)]
    kubelet.allocations = [HELD]
    await watched.until(lambda: watched.processes == {"ml/train/main": [pid]})
    assert not watched.watch.picture.unmanaged


async def test_a_kubelet_that_hangs_delays_no_newcomer(
    proc: FakeProc,
    logs: FakeLogs,
    door: Callable[..., FakeDoor],
    kubelet: FakeKubelet,
    start: Start,
) -> None:
    logs.start("ml", "train", UID, "main", ID)
    kubelet.gate.clear()
    watched = await start(door(a=[]), lister=kubelet.list)
    await watched.looks(1)
    watched.door.pids["a"] = [pid := proc.add(cgroup=CGROUP)]
    await watched.until(lambda: watched.told)
    assert [one.process.pid for one in watched.watch.picture.unmanaged] == [pid]
    assert kubelet.asked == 1
    kubelet.allocations = [HELD]
    kubelet.gate.set()
    await watched.until(lambda: watched.processes == {"ml/train/main": [pid]})


async def test_a_kubelet_that_refuses_is_said_once_and_asked_until_it_answers(
    door: Callable[..., FakeDoor], kubelet: FakeKubelet, start: Start
) -> None:
    kubelet.refuses = True
    watched = await start(door(a=[]), lister=kubelet.list)
    await watched.until(lambda: kubelet.asked >= 3)
    kubelet.refuses, kubelet.allocations = False, [HELD]
    await watched.until(lambda: watched.processes == {"ml/train/main": []})
    what = "cannot know which pods hold replicas"
    assert watched.logged() == [
        {"event": what, "reason": "no such socket"},
        {"event": "well again", "was": what},
    ]


async def test_a_kubelet_that_forgets_its_pods_takes_no_client_that_runs(
    proc: FakeProc,
    logs: FakeLogs,
    door: Callable[..., FakeDoor],
    kubelet: FakeKubelet,
    start: Start,
) -> None:
    logs.start("ml", "train", UID, "main", ID)
    kubelet.allocations = [HELD]
    pid = proc.add(cgroup=CGROUP)
    watched = await start(door(a=[pid]), lister=kubelet.list)
    await watched.until(lambda: watched.processes == {"ml/train/main": [pid]})
    kubelet.allocations = []
    watched.watch.wake()
    await watched.until(lambda: kubelet.asked == 2)
    await watched.looks(2)
    assert watched.processes == {"ml/train/main": [pid]}
    proc.remove(pid)
    await watched.until(lambda: watched.processes == {})


async def test_an_allocation_is_seen_at_once_by_whoever_says_that_there_is_one(
    door: Callable[..., FakeDoor], kubelet: FakeKubelet, start: Start
) -> None:
    watched = await start(door(a=[]), lister=kubelet.list)
    await watched.until(lambda: kubelet.asked == 1)
    await watched.looks(1)
    kubelet.allocations = [HELD]
    watched.watch.wake()
    await watched.until(lambda: watched.processes == {"ml/train/main": []})
    assert kubelet.asked == 2


async def test_while_nobody_holds_a_replica_it_looks_seldom_until_one_is_given_out(
    door: Callable[..., FakeDoor],
    kubelet: FakeKubelet,
    start: Start,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(watch, "VACANT", 3600.0)
    watched = await start(door(a=[]), lister=kubelet.list)
    await watched.until(lambda: watched.watch._period() == 3600.0)
    asked = watched.door.asked
    watched.watch.expect()
    await watched.until(lambda: watched.door.asked >= asked + 3)
    monkeypatch.setattr(watch, "EXPECTED", 0.0)
    kubelet.allocations = [HELD]
    watched.watch.wake()
    await watched.until(lambda: watched.processes == {"ml/train/main": []})
    await watched.looks(2)


async def test_a_kubelet_that_says_nothing_leaves_no_gpu_unwatched(
    door: Callable[..., FakeDoor],
    kubelet: FakeKubelet,
    start: Start,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(watch, "VACANT", 3600.0)
    kubelet.refuses = True
    watched = await start(door(a=[]), lister=kubelet.list)
    await watched.looks(3)


async def test_a_local_job_is_a_client_from_the_moment_that_it_is_known(
    proc: FakeProc, door: Callable[..., FakeDoor], start: Start
) -> None:
    root = proc.add(started=4)
    child = proc.add(root)
    jobs: list[LocalJob] = []
    watched = await start(door(a=[child]), jobs=lambda: jobs)
    await watched.until(lambda: watched.watch.picture.unmanaged)
    jobs.append(LocalJob("night", "ann", 1, ProcessKey(root, 4), (Replica("a", 0),)))
    watched.watch.wake()
    await watched.until(lambda: watched.processes == {"job/night": [child]})


async def test_a_driver_that_falls_silent_is_said_once_for_each_gpu(
    door: Callable[..., FakeDoor], start: Start
) -> None:
    driver = door(a=[], b=[])
    driver.broken.add("b")
    watched = await start(driver)
    await watched.looks(3)
    driver.broken.clear()
    await watched.until(lambda: len(watched.logged()) == 2)
    what = "the driver does not tell the processes"
    assert watched.logged() == [
        {"event": what, "gpu": "b", "reason": "b: the GPU is lost"},
        {"event": "well again", "was": what, "gpu": "b"},
    ]


async def test_a_look_that_fails_leaves_the_picture_as_it_was(
    proc: FakeProc,
    door: Callable[..., FakeDoor],
    start: Start,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    watched = await start(door(a=[proc.add()]))
    await watched.until(lambda: watched.told)

    def fail(*_: Any) -> None:
        raise OSError(24, "Too many open files")

    with monkeypatch.context() as patch:
        patch.setattr(Processes, "facts", fail)
        await watched.until(watched.logged)
        await watched.looks(2)
    await watched.until(lambda: len(watched.logged()) == 2)
    assert len(watched.told) == 1
