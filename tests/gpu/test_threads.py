"""What one line of /proc says about a thread."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from rota.gpu.processes import started
from rota.gpu.syscalls import FUTEX, IOCTL
from rota.gpu.threads import Doing, Threads, classify

GATE = b"%d 0x7f6e7e419f88 0x189 0x3 0x0 0x0 0xffffffff 0x7ffc5 0x7f6e" % FUTEX


@pytest.mark.parametrize(
    ("line", "doing"),
    [
        (GATE, Doing.RDLOCK),
        (GATE.replace(b"0x189", b"0x109"), Doing.RDLOCK),
        (GATE.replace(b" 0x3 ", b" 0x2 "), Doing.IDLE),
        (GATE.replace(b"0x189", b"0x80"), Doing.IDLE),
        (GATE.replace(b"0x189 0x3", b"0x80 0x2"), Doing.MUTEX),
        (GATE.replace(b"0x189 0x3", b"0x0 0x2"), Doing.MUTEX),
        (b"%d 0x7f6e7f1ca000 0x0 0x40000003 0x7ffc 0x0 0x0 0x1 0x2" % FUTEX, Doing.BUSY),
        (b"%d 0x7f6e7f1ca000 0x0 0x2f1 0x0 0x0 0x0 0x1 0x2" % FUTEX, Doing.IDLE),
        (b"%d 0x7 0xc018 0x7ffc 0x0 0x0 0x0 0x1 0x2" % IOCTL, Doing.BUSY),
        (b"running\n", Doing.BUSY),
        (b"-1 0x7ffc5f546950 0x7f887f0b7c40\n", Doing.BUSY),
        (b"-1 0x0 0x0\n", Doing.GONE),
        (b"", Doing.GONE),
        (b"7 0xe684cc0 0x3 0xffffffff 0x0 0x0 0x0 0x1 0x2", Doing.IDLE),
        (b"232 0x2e 0x7f648537f7b0 0x2 0xffffffff 0x0 0x0 0x1 0x2", Doing.IDLE),
        (b"230 0x1 0x1 0x7ffdaf9e8450 0x0 0x0 0x0 0x1 0x2", Doing.IDLE),
    ],
)
def test_a_line_tells_what_a_thread_does(line: bytes, doing: Doing) -> None:
    assert classify(line)[0] is doing


def test_the_place_of_the_lock_is_told_along() -> None:
    assert classify(GATE)[1] == b"0x7f6e7e419f88"


def test_the_threads_of_this_process_are_seen() -> None:
    when = started(os.getpid())
    assert when is not None
    threads = Threads(os.getpid(), when)
    assert os.getpid() in threads.ids()
    assert threads.count() == len(threads.ids())
    assert threads.doing(os.getpid())[0] is not Doing.GONE
    threads.close()
    threads.close()
    assert threads.ended


def test_a_pid_with_another_start_time_is_another_process() -> None:
    when = started(os.getpid())
    assert when is not None
    threads = Threads(os.getpid(), when - 1)
    assert threads.ended
    assert not threads.denied
    assert threads.ids() == []
    assert threads.doing(os.getpid())[0] is Doing.GONE


def test_no_descriptor_is_left_behind() -> None:
    when = started(os.getpid())
    assert when is not None
    before = len(list(Path("/proc/self/fd").iterdir()))
    threads = Threads(os.getpid(), when)
    for tid in threads.ids():
        threads.doing(tid)
    threads.doing(1 << 22)
    threads.close()
    assert len(list(Path("/proc/self/fd").iterdir())) == before
