"""What /proc tells, of real processes and of folders that look like it."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from rota.clients.cgroup import ContainerRef
from rota.clients.picture import ProcessKey
from rota.clients.processes import Processes, ProcessFacts
from rota.gpu.processes import started

if TYPE_CHECKING:
    from tests.clients.conftest import FakeProc

UID = "93580201-87d5-44e6-9779-f6153ca17637"
ID = "b2" * 32
Shell = Callable[..., subprocess.Popen[str]]


def facts_of(pid: int, processes: Processes | None = None) -> ProcessFacts:
    facts = (processes or Processes()).facts(pid)
    assert facts is not None
    return facts


def said(process: subprocess.Popen[str]) -> str:
    assert process.stdout
    return process.stdout.readline().strip()


def test_the_facts_of_a_real_process(shell: Shell) -> None:
    process = shell("echo up; read never")
    said(process)
    facts = facts_of(process.pid)
    assert facts.key == ProcessKey(process.pid, started(process.pid) or 0)
    assert facts.parent == os.getpid()
    assert facts.session == process.pid
    assert facts.owner == os.geteuid()
    assert not facts.stopped


def test_a_stopped_process_is_seen_to_be_stopped(
    shell: Shell, eventually: Callable[[Callable[[], Any]], Any]
) -> None:
    process = shell("exec sleep 1000")
    process.send_signal(signal.SIGSTOP)
    eventually(lambda: facts_of(process.pid).stopped)
    process.send_signal(signal.SIGCONT)
    eventually(lambda: not facts_of(process.pid).stopped)


def test_a_process_that_has_ended_is_none_though_it_was_not_reaped(
    shell: Shell, eventually: Callable[[Callable[[], Any]], Any]
) -> None:
    process = shell("exec sleep 1000")
    process.kill()
    eventually(lambda: Processes().facts(process.pid) is None)
    assert not Processes().hidden(process.pid)
    process.wait()
    assert Processes().facts(process.pid) is None


def test_its_ancestors_are_known_up_to_the_first_process(shell: Shell) -> None:
    process = shell("sh -c 'echo $$; read never'; true")
    grandchild = int(said(process))
    line = [key.pid for key in Processes().trail(facts_of(grandchild)).ancestors]
    assert line[:2] == [process.pid, os.getpid()]


def test_a_real_process_tells_its_job_and_so_does_its_child_with_an_empty_environment(
    shell: Shell,
) -> None:
    process = shell("env -i sh -c 'echo $$; read never'; true", ROTA_JOB="night")
    child = int(said(process))
    assert Processes().trail(facts_of(process.pid)).job == "night"
    assert Processes().trail(facts_of(child)).job == "night"


def test_children_by_parent(proc: FakeProc) -> None:
    top = proc.add()
    first, second = proc.add(top), proc.add(top)
    (proc.root / "self").mkdir()
    children = Processes(proc.root).children()[top]
    assert [key.pid for key in children] == [first, second]


def test_the_mark_of_the_nearest_ancestor_counts(proc: FakeProc) -> None:
    outer = proc.add(environ="ROTA_JOB=outer")
    inner = proc.add(outer, environ=f"A=b ROTA_POD_UID={UID} ROTA_CONTAINER_ID={ID}")
    child = proc.add(inner, environ="X=ROTA_JOB=no")
    processes = Processes(proc.root)
    trail = processes.trail(facts_of(child, processes))
    assert trail.mark == ContainerRef(UID, ID)
    assert trail.job == ""
    assert [key.pid for key in trail.ancestors] == [inner, outer]


def test_an_orphan_without_environment_is_known_by_its_shim(proc: FakeProc) -> None:
    shim = proc.add(cmdline="python -I -S /x/rota/kubelet/embedded/shim.py 17")
    proc.add(shim, environ=f"ROTA_POD_UID={UID} ROTA_CONTAINER_ID={ID}")
    orphan = proc.add(shim)
    processes = Processes(proc.root)
    assert processes.trail(facts_of(orphan, processes)).mark == ContainerRef(UID, ID)


def test_a_process_without_marks_has_none_of_its_siblings(proc: FakeProc) -> None:
    parent = proc.add(cmdline="bash")
    proc.add(parent, environ=f"ROTA_POD_UID={UID} ROTA_CONTAINER_ID={ID} ROTA_JOB=x")
    plain = proc.add(parent)
    processes = Processes(proc.root)
    trail = processes.trail(facts_of(plain, processes))
    assert (trail.mark, trail.job) == (None, "")


def test_the_container_is_read_from_the_cgroup(proc: FakeProc) -> None:
    pid = proc.add(cgroup=f"0::/kubepods/pod{UID}/{ID}")
    processes = Processes(proc.root)
    assert processes.trail(facts_of(pid, processes)).refs == (ContainerRef(UID, ID),)


def test_parents_in_a_circle_end_the_walk(proc: FakeProc) -> None:
    one, other = proc.add(), proc.add()
    proc.add(one, pid=other)
    proc.add(other, pid=one)
    processes = Processes(proc.root)
    assert len(processes.trail(facts_of(one, processes)).ancestors) <= 256


def test_a_process_that_vanishes_while_it_is_read_has_fewer_facts(proc: FakeProc) -> None:
    pid = proc.add(environ="ROTA_JOB=x", cgroup=f"0::/kubepods/pod{UID}/{ID}")
    processes = Processes(proc.root)
    facts = facts_of(pid, processes)
    proc.remove(pid)
    trail = processes.trail(facts)
    assert (trail.refs, trail.mark, trail.job) == ((), None, "")
    assert processes.facts(pid) is None


def test_what_was_read_of_a_pid_that_is_anothers_by_now_counts_for_nothing(proc: FakeProc) -> None:
    pid = proc.add(started=1)
    processes = Processes(proc.root)
    facts = facts_of(pid, processes)
    proc.add(pid=pid, started=2, environ="ROTA_JOB=x", cgroup=f"0::/kubepods/pod{UID}/{ID}")
    trail = processes.trail(facts)
    assert (trail.refs, trail.mark, trail.job) == ((), None, "")


@pytest.mark.parametrize("number", [errno.EACCES, errno.EPERM, errno.ESRCH])
def test_a_process_that_may_not_be_read_has_fewer_facts(
    proc: FakeProc, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    pid = proc.add(environ="ROTA_JOB=x", cgroup=f"0::/kubepods/pod{UID}/{ID}")
    really = os.open

    def refuse(path: Any, *rest: Any, **more: Any) -> int:
        if str(path).endswith(("environ", "cmdline")):
            raise OSError(number, "shut")
        return really(path, *rest, **more)

    processes = Processes(proc.root)
    monkeypatch.setattr(os, "open", refuse)
    trail = processes.trail(facts_of(pid, processes))
    assert trail.refs == (ContainerRef(UID, ID),)
    assert trail.job == ""


def test_too_many_open_files_is_no_property_of_a_process(
    proc: FakeProc, monkeypatch: pytest.MonkeyPatch
) -> None:
    pid = proc.add()

    def refuse(*_: Any, **__: Any) -> int:
        raise OSError(errno.EMFILE, "too many open files")

    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(OSError, match="too many"):
        Processes(proc.root).facts(pid)


def test_a_process_that_lives_and_that_proc_does_not_show_is_hidden(
    proc: FakeProc, shell: Shell
) -> None:
    process = shell("exec sleep 1000")
    processes = Processes(proc.root)
    assert processes.facts(process.pid) is None
    assert processes.hidden(process.pid)
    assert not processes.hidden(5_000_000)
    assert not processes.hidden(1 << 80)


def test_no_descriptor_is_left_open(proc: FakeProc) -> None:
    pid = proc.add(proc.add(), environ="ROTA_JOB=x")
    processes = Processes(proc.root)
    before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208
    for _ in range(3):
        processes.trail(facts_of(pid, processes))
        processes.children()
        processes.facts(5_999_999)
    assert len(os.listdir("/proc/self/fd")) == before  # noqa: PTH208
