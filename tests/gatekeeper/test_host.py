"""Host memory by level: what a copy is charged to, and how much is free of each."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from rota.gatekeeper.host import HOST, UNSEEN, Host

MEMINFO = "MemTotal:       1000 kB\nMemFree:  100 kB\nMemAvailable:    400 kB\nHugePages_Total: 0\n"


@pytest.fixture
def machine(tmp_path: Path) -> Path:
    (tmp_path / "proc" / "self").mkdir(parents=True)
    (tmp_path / "proc" / "meminfo").write_text(MEMINFO)
    return tmp_path


def host(machine: Path, *mounts: str) -> Host:
    text = "".join(f"31 23 0:28 {mount}\n" for mount in mounts)
    (machine / "proc" / "self" / "mountinfo").write_text(text)
    return Host(machine / "proc", machine)


def process(machine: Path, pid: int, cgroup: str) -> None:
    (machine / "proc" / str(pid)).mkdir()
    (machine / "proc" / str(pid) / "cgroup").write_text(cgroup)


def group(machine: Path, path: str, **files: str) -> str:
    folder = machine / path
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / name.replace("_", ".", 1)).write_text(text)
    return str(folder)


V2 = "/ /sys/fs/cgroup rw - cgroup2 cgroup2 rw"
V1 = "/ /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory"


def test_the_host_itself(machine: Path) -> None:
    made = host(machine)
    assert made.total() == 1000 * 1024
    assert made.free([HOST]) == {HOST: 400 * 1024}


def test_every_level_of_version_two_with_a_limit_counts(machine: Path) -> None:
    made = host(machine, V2)
    process(machine, 7, "0::/pods/pod1/main\n")
    main = group(machine, "sys/fs/cgroup/pods/pod1/main", memory_max="max", memory_current="5")
    pod = group(machine, "sys/fs/cgroup/pods/pod1", memory_max="1000", memory_current="600",
                memory_stat="file 300\ninactive_file 200\n")  # fmt: skip
    pods = group(machine, "sys/fs/cgroup/pods", memory_max="max", memory_high="5000",
                 memory_current="1000")  # fmt: skip
    levels = made.levels([7])
    assert {HOST, main, pod, pods} <= set(levels)
    assert made.free(levels) == {HOST: 400 * 1024, pod: 600, pods: 4000}


def test_version_one_has_a_hierarchy_of_its_own_and_a_largest_number_for_none(
    machine: Path,
) -> None:
    made = host(machine, V1, V2)
    process(machine, 7, "4:memory:/a/b\n1:cpu:/x\n0::/\n")
    inner = machine / "sys/fs/cgroup/memory/a/b"
    inner.mkdir(parents=True)
    (inner / "memory.limit_in_bytes").write_text("900\n")
    (inner / "memory.usage_in_bytes").write_text("800\n")
    (inner / "memory.stat").write_text("inactive_file 1\ntotal_inactive_file 300\n")
    (inner.parent / "memory.limit_in_bytes").write_text("9223372036854771712\n")
    levels = made.levels([7])
    assert made.free(levels) == {HOST: 400 * 1024, str(inner): 400}


@pytest.mark.parametrize("path", ["/../pod2/main", "/not/there"])
def test_a_cgroup_that_cannot_be_seen_has_no_room(machine: Path, path: str) -> None:
    made = host(machine, V2)
    process(machine, 7, f"0::{path}\n")
    assert made.free(made.levels([7]))[UNSEEN] == 0


def test_a_mount_that_shows_a_part_is_read_from_there(machine: Path) -> None:
    made = host(machine, "/docker/x /sys/fs/cgroup rw - cgroup2 cgroup2 rw")
    inner = group(machine, "sys/fs/cgroup/y", memory_max="10", memory_current="4")
    process(machine, 7, "0::/docker/x/y\n")
    assert made.free(made.levels([7]))[inner] == 6
    process(machine, 8, "0::/other\n")
    assert UNSEEN in made.levels([8])


def test_from_a_container_the_hosts_folder_shows_whose_cgroups_proc_names_from_below(
    machine: Path,
) -> None:
    made = host(
        machine,
        V2,
        "/../../.. /host/sys/fs/cgroup ro - cgroup2 cgroup2 rw",
    )
    (machine / "proc" / "self" / "cgroup").write_text("0::/\n")
    tree = "host/sys/fs/cgroup/kubepods"
    group(machine, f"{tree}/other/main", cgroup_procs="1 2\n")
    group(machine, f"{tree}/rota/gatekeeper", cgroup_procs=f"{os.getpid()}\n")
    pod = group(machine, f"{tree}/pod1", memory_max="1000", memory_current="600")
    group(machine, f"{tree}/pod1/main", memory_max="max", memory_current="5")
    pods = group(machine, tree, memory_max="5000", memory_current="1000")
    process(machine, 7, "0::/../../pod1/main\n")
    levels = made.levels([7])
    assert UNSEEN not in levels
    assert made.free(levels) == {HOST: 400 * 1024, pod: 400, pods: 4000}
    process(machine, 8, "0::/../../gone\n")
    assert UNSEEN in made.levels([8])


@pytest.mark.skipif(os.geteuid() != 0, reason="takes root: a cgroup namespace of its own")
def test_in_a_real_cgroup_namespace_the_hosts_folder_shows_as_much_as_outside() -> None:
    code = (
        "import os; from rota.gatekeeper.host import UNSEEN, Host;"
        "print(UNSEEN in Host().levels([1, os.getppid(), os.getpid()]))"
    )
    inside = ["unshare", "--cgroup", "--mount", sys.executable, "-c", code]
    found = subprocess.run(inside, capture_output=True, text=True, check=False, timeout=60)
    if "unshare failed" in found.stderr:
        pytest.skip(found.stderr)
    assert found.returncode == 0, found.stderr
    assert found.stdout.strip() == "False", "no cgroup is out of sight"


def test_a_process_that_has_ended_is_not_seen(machine: Path) -> None:
    assert UNSEEN in host(machine, V2).levels([99])


def test_this_machine_can_be_read() -> None:
    made = Host()
    free = made.free(made.levels([os.getpid()]))
    assert 0 < free[HOST] < made.total()
