"""Telling one process from the next with the same pid."""

from __future__ import annotations

import os
import subprocess
import sys

from rota.gpu.processes import start_in, started

FIRST_THREAD_ENDS = """
import ctypes, os, pathlib, platform, threading, time

def stay():
    stat = pathlib.Path(f"/proc/{os.getpid()}/task/{os.getpid()}/stat")
    while ") Z" not in stat.read_text():
        time.sleep(0.005)
    print("left", flush=True)
    time.sleep(1000)

threading.Thread(target=stay).start()
ctypes.CDLL(None).syscall({"x86_64": 60, "aarch64": 93}[platform.machine()], 0)
"""


def test_a_process_has_one_start_time_as_long_as_it_lives() -> None:
    assert started(os.getpid()) == started(os.getpid())
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE) as later:
        assert started(os.getpid()) != started(later.pid)


def test_who_has_ended_has_none_even_before_it_is_reaped() -> None:
    child = subprocess.Popen(["true"])
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert started(child.pid) is None
    child.wait()
    assert started(child.pid) is None


def test_a_process_lives_on_when_only_its_first_thread_has_ended() -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", FIRST_THREAD_ENDS], stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout
        assert process.stdout.readline() == "left\n"
        assert started(process.pid) is not None
    finally:
        process.kill()
        process.wait()
        if process.stdout:
            process.stdout.close()
    assert started(process.pid) is None


def test_a_name_full_of_brackets_and_blanks_confuses_nobody() -> None:
    fields = b" ".join(b"%d" % number for number in range(4, 53))
    assert start_in(b"7 (a ) R (b) 1 2) S " + fields) == 22
