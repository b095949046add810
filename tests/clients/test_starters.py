"""Processes that have initialized CUDA and have no context yet."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from rota.clients.join import Owner, Sighting, join, unexplained
from rota.clients.logs import ContainerName
from rota.clients.picture import LocalJob, ProcessKey
from rota.clients.processes import Processes
from rota.clients.sightings import Place, Sightings
from rota.clients.starters import LONGEST, NEW, OLD_ONES, RELIST, DeviceFiles, Starters
from rota.emulation import driver
from rota.emulation.inventory import EmulatedInventory
from rota.emulation.profiles import parse_emulation
from rota.gpu.processes import started
from rota.kubelet.pod_resources import PodAllocation
from rota.model import Replica

if TYPE_CHECKING:
    from tests.clients.conftest import FakeProc

A, B = "GPU-a", "GPU-b"
FILES = DeviceFiles({"/dev/nvidia0": A, "/dev/nvidia1": B})
JOB = "job/night"
OWNER = Owner(job="night", user="ann")


@dataclass
class Scene:
    """Files of processes, and one look after the other at them."""

    proc: FakeProc
    starters: Starters
    owner: Owner = OWNER
    listed: list[int] = field(default_factory=list)
    jobs: tuple[LocalJob, ...] = ()
    asked: list[int] = field(default_factory=list)

    def add(self, *links: str, **facts: Any) -> int:
        pid = self.proc.add(**facts)
        (self.proc.root / str(pid) / "fd").mkdir()
        self.open(pid, *links)
        return pid

    def open(self, pid: int, *links: str) -> None:
        folder = self.proc.root / str(pid) / "fd"
        for link in links:
            (folder / str(len(list(folder.iterdir())))).symlink_to(link)

    def shut(self, pid: int) -> None:
        for link in (self.proc.root / str(pid) / "fd").iterdir():
            link.unlink()

    def end(self, pid: int) -> None:
        shutil.rmtree(self.proc.root / str(pid))

    def look(self, now: float, holders: tuple[str, ...] = (JOB,)) -> dict[str, list[int]]:
        found = self.starters.look(self.listed, holders, self.jobs, self._whose, now)
        return {gpu: [one.process.pid for one in ones] for gpu, ones in found.items()}

    def _whose(self, pid: int) -> Sighting | None:
        self.asked.append(pid)
        facts = Processes(self.proc.root).facts(pid)
        return Sighting(facts.key, self.owner) if facts else None


@pytest.fixture
def scene(proc: FakeProc) -> Scene:
    """A /proc that was looked at once, when nobody was there."""
    made = Scene(proc, Starters(FILES, Processes(proc.root)))
    made.look(0.0)
    return made


def test_a_process_with_the_gpus_file_open_and_no_context_is_starting(scene: Scene) -> None:
    one, both = scene.add("/dev/null", "/dev/nvidia0"), scene.add("/dev/nvidia0", "/dev/nvidia1")
    scene.add("/dev/nvidiactl", "/dev/nvidia10")
    assert scene.look(0.1) == {A: [one, both], B: [both]}


def test_it_is_starting_no_more_once_the_driver_lists_it_not_even_when_that_forgets_it(
    scene: Scene,
) -> None:
    pid = scene.add("/dev/nvidia0")
    assert scene.look(0.1) == {A: [pid]}
    scene.listed = [pid]
    assert scene.look(0.2) == {}
    scene.listed = []  # paged out
    assert scene.look(0.3) == {}


def test_a_process_that_never_makes_a_context_is_told_for_a_while_and_never_again(
    scene: Scene,
) -> None:
    pid = scene.add("/dev/nvidia0")
    times = [0.1 + step * 0.1 for step in range(round(LONGEST * 10) + 20)]
    told = [now for now in times if scene.look(now) == {A: [pid]}]
    assert told == times[: len(told)]
    assert LONGEST - 0.2 <= told[-1] - told[0] <= LONGEST
    scene.shut(pid)
    scene.look(20.0)
    scene.open(pid, "/dev/nvidia0")
    assert scene.look(20.1) == {}


def test_one_that_opens_the_file_now_and_then_uses_up_its_time_only_while_it_is_open(
    scene: Scene,
) -> None:
    pid = scene.add("/dev/nvidia0")
    assert [scene.look(now) for now in (0.1, 2.1)] == [{A: [pid]}] * 2
    scene.shut(pid)
    assert scene.look(2.2) == scene.look(50.0) == {}
    scene.open(pid, "/dev/nvidia0")
    assert [scene.look(now) for now in (50.1, 52.1)] == [{A: [pid]}] * 2
    assert scene.look(53.2) == {}


def test_a_process_that_ends_is_starting_no_more(scene: Scene) -> None:
    pid = scene.add("/dev/nvidia0")
    assert scene.look(0.1) == {A: [pid]}
    scene.proc.add(pid=pid, state="Z")
    assert scene.look(0.2) == {}
    scene.end(pid)
    assert scene.look(0.3) == {}


def test_the_next_process_with_a_pid_has_its_own_time(scene: Scene) -> None:
    pid = scene.add("/dev/nvidia0", started=1)
    assert [scene.look(now) for now in (0.1, 4.9)] == [{A: [pid]}] * 2
    scene.proc.add(pid=pid, started=2)
    assert [scene.look(now) for now in (5.0, 9.0)] == [{A: [pid]}] * 2


def test_who_has_it_open_at_the_first_look_is_no_starter(proc: FakeProc) -> None:
    scene = Scene(proc, Starters(FILES, Processes(proc.root)))
    paged_out, waits = scene.add("/dev/nvidia0"), scene.add()
    assert scene.look(0.0) == {}
    scene.open(waits, "/dev/nvidia0")
    assert scene.look(0.1) == {A: [waits]}
    assert paged_out not in scene.asked


def test_a_client_is_looked_at_however_old_it_is_and_nobody_else(scene: Scene) -> None:
    pids = [scene.add() for _ in range(3 * OLD_ONES)]
    scene.look(0.1)
    scene.look(0.1 + NEW)
    scene.look(0.2 + NEW)
    scene.open(pids[0], "/dev/nvidia0")
    assert all(scene.look(now, holders=()) == {} for now in (100.0, 100.1, 100.2, 100.3))
    found = [scene.look(101.0 + step) for step in range(4)]
    assert {A: [pids[0]]} in found


def test_whose_a_process_is_is_asked_once_if_it_stays_and_never_if_it_does_not(
    scene: Scene,
) -> None:
    scene.owner = Owner()
    short, stays = scene.add(), scene.add()
    scene.look(0.1)
    scene.end(short)
    for step in range(60):
        scene.look(0.2 + step / 5)
    assert scene.asked == [stays]


def test_the_first_process_of_a_new_job_is_looked_at_though_it_was_there_before(
    scene: Scene,
) -> None:
    scene.owner = Owner()
    pid = scene.add()
    for now in (0.1, 5.0, 10.0):
        scene.look(now)
    scene.jobs, scene.owner = (LocalJob("night", "ann", 0, ProcessKey(pid, 1000), ()),), OWNER
    scene.look(20.0)
    scene.open(pid, "/dev/nvidia0")
    assert scene.look(20.1) == {A: [pid]}


def test_pids_are_listed_only_where_one_was_given_out_or_after_a_while(scene: Scene) -> None:
    last = scene.proc.root / "loadavg"
    last.write_text("0.00 0.01 0.05 1/500 5000000\n")
    scene.look(0.1)
    first = scene.add("/dev/nvidia0")
    assert scene.look(0.2) == {}
    last.write_text("0.00 0.01 0.05 1/500 5000001\n")
    assert scene.look(0.3) == {A: [first]}
    second = scene.add("/dev/nvidia0")
    assert scene.look(0.4 + RELIST) == {A: [first, second]}


def test_without_device_files_nothing_is_read(proc: FakeProc) -> None:
    scene = Scene(proc, Starters(DeviceFiles(), Processes(proc.root / "none")))
    assert scene.look(0.0) == {}


def test_the_driver_names_the_file_by_its_minor_number() -> None:
    gpus = parse_emulation("h200").gpus
    assert DeviceFiles.of(gpus).gpus == {f"/dev/nvidia{gpu.minor}": gpu.uuid for gpu in gpus}


def test_only_clients_have_starting_processes_and_strangers_make_the_kubelet_be_asked() -> None:
    held = PodAllocation("ml", "train", "main", "nvidia.com/gpu", (Replica(A, 0).id,))
    mine = Sighting(ProcessKey(7, 70), Owner(ContainerName("ml", "train", "main")))
    new = Sighting(ProcessKey(8, 80), Owner(ContainerName("ml", "new", "main")))
    nobody = Sighting(ProcessKey(9, 90))
    starting = {A: [mine, new, nobody], B: [mine]}
    picture = join({A: [], B: []}, [held], (), (), starting)
    assert [(one.gpu, one.starting) for one in picture.clients] == [(A, (mine.process,))]
    assert picture.unmanaged == ()
    assert unexplained(picture, starting) == {new.process}


# Real programs on an emulated GPU

PROGRAM = """
import os, sys
from rota.emulation import cuda
print("up", flush=True)
for line in sys.stdin:
    exec(line)
    print("done", flush=True)
"""


@dataclass
class Program:
    """A program that does what it is told, line by line."""

    process: subprocess.Popen[str]

    def do(self, code: str) -> str:
        assert self.process.stdin
        self.process.stdin.write(code + "\n")
        self.process.stdin.flush()
        return self.hear()

    def hear(self) -> str:
        assert self.process.stdout
        return self.process.stdout.readline().strip()

    @property
    def key(self) -> ProcessKey:
        return ProcessKey(self.process.pid, started(self.process.pid) or 0)


@dataclass
class Machine:
    """An emulated GPU, programs on it, and the looks at both. Every program is the job's."""

    folder: Path
    emulation: driver.Emulation
    gpu: str
    sightings: Sightings
    programs: list[subprocess.Popen[str]] = field(default_factory=list)

    def program(self) -> Program:
        process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM],
            env={**os.environ, **self.emulation.environment},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.programs.append(process)
        made = Program(process)
        assert made.hear() == "up"
        return made

    def look(self) -> tuple[set[ProcessKey], set[ProcessKey]]:
        """The job's processes that are starting, and those that have a context."""
        root = ProcessKey(os.getpid(), started(os.getpid()) or 0)
        job = LocalJob("night", "ann", os.geteuid(), root, (Replica(self.gpu, 0),))
        look = self.sightings.look((job,), time.monotonic(), {JOB})
        (one,) = join(look.seen, (), (job,), look.young, look.starting).clients
        return set(one.starting), set(one.processes)


@pytest.fixture
def machine() -> Iterator[Machine]:
    folder = Path(tempfile.mkdtemp(prefix="rota", dir="/tmp"))
    inventory = parse_emulation("t4")
    emulation = driver.start(inventory, folder / "gpu")
    door = EmulatedInventory(folder / "gpu")
    files = DeviceFiles.emulated(folder / "gpu", inventory.gpus)
    gpu = inventory.gpus[0].uuid
    made = Machine(folder, emulation, gpu, Sightings(door, (gpu,), Place(folder), files=files))
    made.look()
    yield made
    for process in made.programs:
        process.kill()
        process.wait()
        for stream in (process.stdin, process.stdout):
            assert stream
            stream.close()
    door.close()
    emulation.stop()
    shutil.rmtree(folder, ignore_errors=True)


def test_a_program_is_starting_between_its_init_and_its_context(
    machine: Machine, eventually: Callable[[Callable[[], Any]], Any]
) -> None:
    program = machine.program()
    assert machine.look() == (set(), set())
    program.do("cuda.init()")
    eventually(lambda: machine.look() == ({program.key}, set()))
    program.do("cuda.init().context(0)")
    eventually(lambda: machine.look() == (set(), {program.key}))


def test_a_program_that_ends_before_it_has_a_context_is_gone(
    machine: Machine, eventually: Callable[[Callable[[], Any]], Any]
) -> None:
    program, other = machine.program(), machine.program()
    for each in (program, other):
        each.do("cuda.init()")
    both = {program.key, other.key}
    eventually(lambda: machine.look() == (both, set()))
    remaining = {other.key}
    program.process.kill()
    program.process.wait()
    eventually(lambda: machine.look() == (remaining, set()))


def test_forks_of_a_program_with_a_context_are_not_starting(
    machine: Machine, eventually: Callable[[Callable[[], Any]], Any]
) -> None:
    """As workers that load data are: they inherit the GPU's file and never use it."""
    program = machine.program()
    program.do("cuda.init().context(0)")
    eventually(lambda: machine.look() == (set(), {program.key}))
    program.do("r, w = os.pipe(); child = os.fork() or (os.close(w), os.read(r, 1), os._exit(0))")
    for _ in range(5):
        assert machine.look() == (set(), {program.key})
    program.do("os.close(w); os.waitpid(child, 0)")


def test_a_program_whose_files_are_hidden_is_found_when_it_has_a_context(
    machine: Machine,
    eventually: Callable[[Callable[[], Any]], Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def shut(path: str) -> Any:
        raise PermissionError(13, "Permission denied", path)

    monkeypatch.setattr("rota.clients.processes.os.scandir", shut)
    program = machine.program()
    program.do("cuda.init()")
    assert machine.look() == (set(), set())
    program.do("cuda.init().context(0)")
    eventually(lambda: machine.look() == (set(), {program.key}))
