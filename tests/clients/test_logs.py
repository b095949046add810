"""Names by the kubelet's log folders."""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path
from typing import TYPE_CHECKING

from rota.clients.cgroup import ContainerRef
from rota.clients.logs import RACY, Cached, ContainerName, LogFolders

if TYPE_CHECKING:
    from tests.clients.conftest import FakeLogs

UID = "93580201-87d5-44e6-9779-f6153ca17637"
ID = "b2" * 32
OTHER = "c3" * 32
MAIN = ContainerName("ml", "train-0", "main")


def test_a_container_is_found_by_its_link(logs: FakeLogs) -> None:
    logs.start("ml", "train-0", UID, "main", ID)
    logs.start("ml", "train-0", UID, "side-car", OTHER)
    folders = LogFolders(logs.root)
    assert folders.find(ContainerRef(UID, ID)) == MAIN
    assert folders.find(ContainerRef(UID, OTHER)) == ContainerName("ml", "train-0", "side-car")
    assert folders.find(ContainerRef("", ID)) == MAIN


def test_before_its_link_is_there_the_only_container_of_a_pod_is_known(logs: FakeLogs) -> None:
    logs.pod("ml", "train-0", UID, "main")
    assert LogFolders(logs.root).find(ContainerRef(UID, ID)) == MAIN


def test_before_its_link_is_there_one_of_several_containers_is_only_known_by_its_pod(
    logs: FakeLogs,
) -> None:
    logs.pod("ml", "train-0", UID, "init", "main")
    assert LogFolders(logs.root).find(ContainerRef(UID, ID)) == ContainerName("ml", "train-0")


def test_what_comes_later_is_seen_at_the_next_look(logs: FakeLogs) -> None:
    folders = LogFolders(logs.root)
    assert folders.find(ContainerRef(UID, ID)) is None
    pod = logs.pod("ml", "train-0", UID)
    pod.mkdir()
    assert folders.find(ContainerRef(UID, ID)) == ContainerName("ml", "train-0")
    logs.pod("ml", "train-0", UID, "main", "side")
    assert folders.find(ContainerRef(UID, ID)) == ContainerName("ml", "train-0")
    logs.link(pod, "main", ID)
    assert folders.find(ContainerRef(UID, ID)) == MAIN


def test_a_pod_that_is_gone_is_unknown(logs: FakeLogs) -> None:
    pod = logs.start("ml", "train-0", UID, "main", ID)
    folders = LogFolders(logs.root)
    assert folders.find(ContainerRef(UID, ID)) == MAIN
    shutil.rmtree(pod)
    next((logs.root / "containers").iterdir()).unlink()
    assert folders.find(ContainerRef(UID, ID)) is None


def test_a_pod_of_the_same_name_as_an_earlier_one_is_told_apart_by_its_uid(logs: FakeLogs) -> None:
    later = UID.replace("9", "8")
    logs.start("ml", "train-0", UID, "main", ID)
    logs.pod("ml", "train-0", later, "main", "side")
    folders = LogFolders(logs.root)
    assert folders.find(ContainerRef(later, OTHER)) == ContainerName("ml", "train-0")
    assert folders.find(ContainerRef(later, ID)) == ContainerName("ml", "train-0")
    assert folders.find(ContainerRef(UID, ID)) == MAIN


def test_a_very_long_name_cuts_the_id_and_still_leads_to_the_container(logs: FakeLogs) -> None:
    long = "x" * 100 + ".y" * 50
    pod = logs.pod("ml", long, UID, "main", "side")
    cut = logs.link(pod, "main", ID).name.removesuffix(".log").rpartition("-")[2]
    logs.link(pod, "side", OTHER)
    assert 0 < len(cut) < len(ID)
    assert LogFolders(logs.root).find(ContainerRef(UID, ID)) == ContainerName("ml", long, "main")
    assert LogFolders(logs.root).find(ContainerRef(UID, OTHER)) == ContainerName("ml", long, "side")


def test_a_link_that_leads_elsewhere_is_read_by_its_own_name(logs: FakeLogs) -> None:
    link = logs.root / "containers" / f"train-0_ml_main-{ID}.log"
    link.symlink_to(f"/var/lib/docker/containers/{ID}/{ID}-json.log")
    assert LogFolders(logs.root).find(ContainerRef(UID, ID)) == MAIN


def test_whatever_else_lies_there_is_passed_over(logs: FakeLogs) -> None:
    pod = logs.start("ml", "train-0", UID, "main", ID)
    (pod / "notes.txt").touch()
    for name in ("lost+found", "a_b", "a_b_c_d", "__", "ünicode_x_y"):
        (logs.root / "pods" / name).mkdir()
    for name in ("README", "a_b_c.log", "a_b_-1f.log", "a_b_c-xyz.log", "a_b_c-.log", "-.log", "_"):
        (logs.root / "containers" / name).touch()
    (logs.root / "containers" / f"self_ml_main-{OTHER}.log").symlink_to("self")
    (logs.root / "containers" / os.fsdecode(b"a_b_c\xff-11.log")).touch()
    folders = LogFolders(logs.root)
    assert folders.find(ContainerRef(UID, ID)) == MAIN
    assert folders.find(ContainerRef("", "11" * 32)) is None


def test_no_folders_at_all_know_nobody(tmp_path: Path) -> None:
    assert LogFolders(tmp_path / "none").find(ContainerRef(UID, ID)) is None


def test_a_folder_that_stays_as_it_is_is_read_once(tmp_path: Path) -> None:
    reads: list[Path] = []
    cached = Cached(tmp_path, lambda folder: reads.append(folder) or len(reads))  # type: ignore[func-returns-value]
    long_ago = time.time_ns() - 10 * RACY
    os.utime(tmp_path, ns=(long_ago, long_ago))
    assert [cached.now(0), cached.now(0), cached.now(0)] == [1, 1, 1]
    os.utime(tmp_path, ns=(long_ago + 1, long_ago + 1))
    assert [cached.now(0), cached.now(0)] == [2, 2]


def test_a_folder_that_was_just_changed_is_read_again(tmp_path: Path) -> None:
    """Its next change may come within the same tick of the file system's clock."""
    reads: list[Path] = []
    cached = Cached(tmp_path, lambda folder: reads.append(folder) or len(reads))  # type: ignore[func-returns-value]
    soon = time.time_ns() + 100 * RACY
    os.utime(tmp_path, ns=(soon, soon))
    assert [cached.now(0), cached.now(0)] == [1, 2]
