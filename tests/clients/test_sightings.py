"""One look after the other at the same GPUs."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from rota.clients.join import Owner, Sighting
from rota.clients.logs import ContainerName
from rota.clients.picture import LocalJob, ProcessKey
from rota.clients.processes import Processes, ProcessFacts
from rota.clients.sightings import LATER, YOUNG, Place, Sightings

if TYPE_CHECKING:
    from tests.clients.conftest import FakeDoor, FakeLogs, FakeProc

UID = "93580201-87d5-44e6-9779-f6153ca17637"
ID = "b2" * 32
CGROUP = f"0::/kubepods/pod{UID}/{ID}"
MAIN = ContainerName("ml", "train", "main")

Make = Callable[..., Sightings]


@pytest.fixture
def make(proc: FakeProc, logs: FakeLogs) -> Make:
    """Sightings on the folders of this test."""

    def build(door: FakeDoor, marks: bool = False) -> Sightings:
        place = Place(logs.root, marks=marks)
        return Sightings(door, tuple(door.pids), place, Processes(proc.root))

    return build


def owners(sightings: Sightings, now: float = 0.0, jobs: tuple[LocalJob, ...] = ()) -> list[Owner]:
    return [one.owner for one in sightings.look(jobs, now).seen["a"]]


def test_a_process_of_a_pod_is_seen_with_its_container(
    proc: FakeProc, logs: FakeLogs, door: Callable[..., FakeDoor], make: Make
) -> None:
    logs.start("ml", "train", UID, "main", ID)
    pid, other = proc.add(cgroup=CGROUP, started=7), proc.add(started=8)
    look = make(door(a=[other, pid], b=[pid])).look((), 0.0)
    uid = proc.root.stat().st_uid
    sighting = Sighting(ProcessKey(pid, 7), Owner(MAIN), uid)
    stranger = Sighting(ProcessKey(other, 8), Owner(), uid)
    assert look.seen == {"a": (sighting, stranger), "b": (sighting,)}
    assert look.young == {ProcessKey(pid, 7), ProcessKey(other, 8)}


def test_a_process_whose_memory_is_in_host_memory_is_seen_all_the_same(
    proc: FakeProc, logs: FakeLogs, door: Callable[..., FakeDoor]
) -> None:
    logs.start("ml", "train", UID, "main", ID)
    pid, ended = proc.add(cgroup=CGROUP, started=7), 999999
    paged = {"a": (pid, ended), "b": ()}
    place = Place(logs.root)
    made = Sightings(door(a=[], b=[]), "ab", place, Processes(proc.root), paged=paged.__getitem__)
    assert owners(made) == [Owner(MAIN)]
    assert made.look((), 0.0).seen["b"] == ()


def test_a_process_that_has_ended_is_seen_no_more(
    proc: FakeProc, door: Callable[..., FakeDoor], make: Make
) -> None:
    pid = proc.add()
    sightings = make(door(a=[pid]))
    assert len(owners(sightings)) == 1
    proc.add(pid=pid, state="Z")
    assert owners(sightings) == []
    proc.remove(pid)
    assert owners(sightings) == []


def test_what_a_pid_was_says_nothing_about_the_next_process_with_it(
    proc: FakeProc, logs: FakeLogs, door: Callable[..., FakeDoor], make: Make
) -> None:
    logs.start("ml", "train", UID, "main", ID)
    pid = proc.add(cgroup=CGROUP, started=7)
    sightings = make(door(a=[pid]))
    assert owners(sightings) == [Owner(MAIN)]
    proc.add(pid=pid, started=9)
    assert owners(sightings, 100.0) == [Owner()]
    assert sightings.look((), 101.0).young == {ProcessKey(pid, 9)}


def test_what_is_known_for_good_is_not_read_again(
    proc: FakeProc, logs: FakeLogs, door: Callable[..., FakeDoor], make: Make
) -> None:
    pod = logs.start("ml", "train", UID, "main", ID)
    pid = proc.add(cgroup=CGROUP)
    sightings = make(door(a=[pid]))
    assert owners(sightings) == [Owner(MAIN)]
    next((logs.root / "containers").iterdir()).unlink()
    pod.rename(logs.root / "elsewhere")
    (proc.root / str(pid) / "cgroup").unlink()
    assert owners(sightings, 1000.0) == [Owner(MAIN)]


def test_a_young_process_is_asked_for_at_each_look_and_an_old_one_now_and_then(
    proc: FakeProc, logs: FakeLogs, door: Callable[..., FakeDoor], make: Make
) -> None:
    pid = proc.add(cgroup=CGROUP)
    sightings = make(door(a=[pid]))
    strange = [Owner(stranger=True)]
    assert owners(sightings, 0.0) == strange
    pod = logs.pod("ml", "train", UID, "main", "side")
    assert owners(sightings, 0.1) == [Owner(ContainerName("ml", "train"))]
    assert sightings.look((), YOUNG).young == set()
    logs.link(pod, "main", ID)
    assert owners(sightings, YOUNG + 0.1) == [Owner(ContainerName("ml", "train"))]
    assert owners(sightings, YOUNG + LATER) == [Owner(MAIN)]


def test_a_job_that_comes_claims_its_processes_at_once(
    proc: FakeProc, door: Callable[..., FakeDoor], make: Make
) -> None:
    root = proc.add(started=3)
    pid = proc.add(root)
    sightings = make(door(a=[pid]))
    assert owners(sightings) == owners(sightings, 2 * YOUNG) == [Owner()]
    job = LocalJob("night", "ann", 1, ProcessKey(root, 3), ())
    assert owners(sightings, 2 * YOUNG + 0.1, (job,)) == [Owner(job="night", user="ann")]


def test_what_is_left_of_a_job_is_no_part_of_the_next_one_with_its_name(
    proc: FakeProc, door: Callable[..., FakeDoor], make: Make
) -> None:
    root = proc.add(started=3)
    pid = proc.add(root)
    sightings = make(door(a=[pid]))
    job = LocalJob("night", "ann", 1, ProcessKey(root, 3), ())
    assert owners(sightings, 0.0, (job,)) == [Owner(job="night", user="ann")]
    assert owners(sightings, 0.1, ()) == [Owner(job="night", user="ann")]
    later = LocalJob("night", "bob", 2, ProcessKey(proc.add(), 1000), ())
    assert owners(sightings, 0.2, (later,)) == [Owner()]


def test_a_driver_that_is_silent_about_a_gpu_leaves_what_it_told_last(
    proc: FakeProc, door: Callable[..., FakeDoor], make: Make
) -> None:
    pid, other = proc.add(), proc.add()
    driver = door(a=[pid], b=[])
    sightings = make(driver)
    sightings.look((), 0.0)
    driver.broken.add("a")
    driver.pids["b"] = [other]
    look = sightings.look((), 1.0)
    assert look.silent == {"a": "a: the GPU is lost"}
    assert [[one.process.pid for one in look.seen[gpu]] for gpu in "ab"] == [[pid], [other]]
    proc.remove(pid)
    assert sightings.look((), 2.0).seen["a"] == ()


def test_a_process_that_proc_hides_is_seen_without_a_start_time(
    shell: Callable[..., subprocess.Popen[str]], door: Callable[..., FakeDoor], make: Make
) -> None:
    process = shell("exec sleep 1000")
    look = make(door(a=[process.pid, 5_000_000])).look((), 0.0)
    assert look.seen["a"] == (Sighting(ProcessKey(process.pid, 0)),)
    assert not look.young


def test_marks_count_for_an_embedded_kubelet_alone(
    proc: FakeProc, logs: FakeLogs, door: Callable[..., FakeDoor], make: Make
) -> None:
    logs.start("ml", "train", UID, "main", ID)
    pid = proc.add(environ=f"ROTA_POD_UID={UID} ROTA_CONTAINER_ID={ID}")
    assert owners(make(door(a=[pid]), marks=True)) == [Owner(MAIN)]
    assert owners(make(door(a=[pid]), marks=False)) == [Owner()]


def test_the_place_of_a_nodes_kubelet_and_of_an_embedded_one(tmp_path: Path) -> None:
    plugins = tmp_path / "device-plugins"
    socket = tmp_path / "pod-resources" / "kubelet.sock"
    assert Place.of(plugins) == Place(Path("/var/log"), socket, marks=False)
    (tmp_path / "logs" / "pods").mkdir(parents=True)
    assert Place.of(plugins) == Place(tmp_path / "logs", socket, marks=True)


def test_a_look_at_a_hundred_known_processes_reads_one_file_of_each(
    proc: FakeProc,
    logs: FakeLogs,
    door: Callable[..., FakeDoor],
    make: Make,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    logs.start("ml", "train", UID, "main", ID)
    parent = proc.add()
    pids = [proc.add(parent, cgroup=CGROUP) for _ in range(100)]
    sightings = make(door(a=pids, b=pids))
    sightings.look((), 0.0)
    read: list[int] = []
    facts = Processes.facts

    def counted(self: Processes, pid: int) -> ProcessFacts | None:
        read.append(pid)
        return facts(self, pid)

    monkeypatch.setattr(Processes, "facts", counted)
    monkeypatch.setattr(Processes, "trail", lambda *_: pytest.fail("read again"))
    sightings.look((), 1000.0)
    assert sorted(read) == pids
