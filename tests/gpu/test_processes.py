"""Telling one process from the next with the same pid."""

from __future__ import annotations

import os
import subprocess

from rota.gpu.processes import start_in, started


def test_a_process_has_one_start_time_as_long_as_it_lives() -> None:
    assert started(os.getpid()) == started(os.getpid())
    assert started(os.getpid()) != started(os.getppid())


def test_who_has_ended_has_none_even_before_it_is_reaped() -> None:
    child = subprocess.Popen(["true"])
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert started(child.pid) is None
    child.wait()
    assert started(child.pid) is None


def test_a_name_full_of_brackets_and_blanks_confuses_nobody() -> None:
    fields = b" ".join(b"%d" % number for number in range(4, 53))
    assert start_in(b"7 (a ) R (b) 1 2) S " + fields) == 22
