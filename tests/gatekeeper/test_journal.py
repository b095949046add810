"""The journal of closed gates, and opening what it names."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from rota.gatekeeper.journal import Journal, JournalError, Process
from rota.gatekeeper.rescue import Rescue
from rota.gatekeeper.stat import stopped
from rota.gpu.doors import GateBusy, GateError, GateGone, GateIllegal
from tests.gatekeeper.conftest import NoGates

Until = Callable[..., Awaitable[Any]]


class Doors(NoGates):
    """Gates that answer as told; those in `hang` do not come back until let go."""

    def __init__(self) -> None:
        self.opened: list[int] = []
        self.errors: dict[int, GateError] = {}
        self.hang: set[int] = set()
        self.go_on = threading.Event()

    def open(self, pid: int, started: int) -> None:
        if pid in self.hang:
            self.go_on.wait(30)
        if pid in self.errors:
            raise self.errors[pid]
        self.opened.append(pid)


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(3600)"])
    yield process
    process.kill()
    process.wait()


def test_it_names_what_was_noted_and_not_erased(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    assert journal.read() == []
    one, other = Process(7, 70), Process(8, 80)
    for process in (one, other, one):
        journal.note(process)
    assert Journal(tmp_path).read() == [one, other]
    journal.erase(one)
    journal.erase(one)
    assert journal.read() == [other]


def test_what_does_not_look_like_ours_is_left_alone(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    journal.note(Process(7, 70))
    (tmp_path / "closed" / "notes.txt").write_text("mine")
    assert journal.read() == [Process(7, 70)]


def test_where_it_cannot_be_written_it_says_so_before_a_gate_is_closed(tmp_path: Path) -> None:
    (tmp_path / "closed").write_text("in the way")
    with pytest.raises(JournalError, match="cannot be noted"):
        Journal(tmp_path).note(Process(7, 70))


def test_rescue_opens_what_is_named_and_nothing_else(tmp_path: Path) -> None:
    journal, doors = Journal(tmp_path), Doors()
    for pid in range(1, 9):
        journal.note(Process(pid, 1))
    doors.errors = {2: GateGone("gone"), 3: GateIllegal("open already")}
    assert Rescue(journal, doors).run(30.0) == []
    assert sorted(doors.opened) == [1, 4, 5, 6, 7, 8]


def test_a_gate_that_does_not_open_stays_named_and_is_tried_again(tmp_path: Path) -> None:
    journal, doors = Journal(tmp_path), Doors()
    journal.note(Process(1, 1))
    doors.errors = {1: GateBusy("not now")}
    rescue = Rescue(journal, doors)
    assert rescue.run(30.0) == [Process(1, 1)]
    doors.errors.clear()
    assert rescue.run(30.0) == []
    assert doors.opened == [1]


def test_one_that_hangs_does_not_hold_up_the_others(tmp_path: Path) -> None:
    journal, doors = Journal(tmp_path), Doors()
    doors.hang = {1}
    for pid in (1, 2, 3):
        journal.note(Process(pid, 1))
    rescue = Rescue(journal, doors)
    assert rescue.run(0.5) == [Process(1, 1)]
    assert sorted(doors.opened) == [2, 3]
    doors.go_on.set()
    assert rescue.run(30.0) == []


async def test_a_stopped_program_is_seen(sleeper: subprocess.Popen[bytes], until: Until) -> None:
    assert not stopped(sleeper.pid)
    os.kill(sleeper.pid, signal.SIGSTOP)
    await until(lambda: stopped(sleeper.pid))
    os.kill(sleeper.pid, signal.SIGCONT)
    await until(lambda: not stopped(sleeper.pid))
    assert not stopped(4194301)


async def test_a_stopped_program_is_not_waited_for(
    tmp_path: Path, sleeper: subprocess.Popen[bytes], until: Until
) -> None:
    os.kill(sleeper.pid, signal.SIGSTOP)
    await until(lambda: stopped(sleeper.pid))
    journal, doors = Journal(tmp_path), Doors()
    doors.hang = {sleeper.pid}
    journal.note(Process(sleeper.pid, 1))
    assert Rescue(journal, doors).run(3600.0) == [Process(sleeper.pid, 1)]
    doors.go_on.set()
