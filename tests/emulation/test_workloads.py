"""The programs that come with the emulated GPU."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from rota.emulation.gates import EmulatedGates

if TYPE_CHECKING:
    from tests.emulation.conftest import Room


@pytest.fixture
def room(shared_room: Room) -> Room:
    return shared_room


def test_a_trainer_says_where_it_runs_and_what_it_did(room: Room) -> None:
    trainer = room.workload("trainer", "--seconds", "0.2s", "--memory", "1Gi", "--kernel", "5ms")
    assert trainer.process.wait() == 0
    (ready,) = trainer.lines("ready")
    assert ready["gpu"] == room.gpu
    assert ready["emulated"] is True
    assert ready["memory_bytes"] == 2**30
    assert ready["pid"] == trainer.pid
    assert trainer.lines("progress")[-1]["kernels"] >= 1
    assert trainer.lines()[-1]["event"] == "end"


def test_a_trainer_with_threads_counts_the_work_of_all(room: Room) -> None:
    trainer = room.workload("trainer", "--seconds", "0.2", "--threads", "3", "--kernel", "2ms")
    assert trainer.process.wait() == 0
    assert trainer.lines("progress")[-1]["kernels"] >= 3


def test_a_server_answers_and_says_how_long_it_took(room: Room) -> None:
    server = room.workload("server", "--kernel", "5ms", "--period", "20ms")
    assert server.wait_for("request", 3)["seconds"] >= 0.005


def test_a_notebook_runs_cells(room: Room) -> None:
    notebook = room.workload("notebook", "--kernel", "5ms", "--ahead", "4", "--think", "10ms")
    assert notebook.wait_for("cell", 2)["seconds"] >= 0.02


def test_a_hog_takes_all_it_can_get_and_lives_on(room: Room) -> None:
    hog = room.workload("hog", "--period", "10ms", "--kernel", "1ms")
    refused = hog.wait_for("refused")
    assert hog.wait_for("holds")["memory_bytes"] == refused["memory_bytes"] > 14 * 2**30
    assert hog.process.poll() is None


def test_a_hog_stops_at_what_it_was_told(room: Room) -> None:
    hog = room.workload("hog", "--memory", "700Mi")
    assert hog.wait_for("holds")["memory_bytes"] == 700 * 2**20


def test_what_does_not_fit_ends_a_trainer_with_a_reason(room: Room) -> None:
    trainer = room.workload("trainer", "--memory", "100Gi")
    assert trainer.process.wait() == 1
    (failed,) = trainer.lines("failed")
    assert failed["error"] == "OutOfMemory"


@pytest.mark.parametrize("closed", [False, True])
def test_sigterm_ends_it_cleanly_even_at_a_closed_gate(room: Room, closed: bool) -> None:
    trainer = room.workload("trainer", "--kernel", "5ms")
    trainer.wait_for("progress")
    if closed:
        gates = EmulatedGates(room.folder)
        gates.close(trainer.pid, trainer.started, 20.0)
        gates.forget()
    trainer.process.send_signal(signal.SIGTERM)
    assert trainer.process.wait() == 0
    assert trainer.lines("end")[0]["why"] == "SIGTERM"


def test_without_an_emulated_gpu_a_workload_says_so() -> None:
    program = [sys.executable, "-m", "rota.emulation.workloads", "trainer"]
    ended = subprocess.run(program, env={}, capture_output=True, text=True, check=False)
    assert ended.returncode == 1
    assert "no emulated GPU (ROTA_EMULATED_GPU names its folder)" in ended.stderr


def test_nothing_is_left_of_those_that_ended(room: Room, wait: Callable[..., Any]) -> None:
    room.workload("trainer", "--seconds", "0.01", "--kernel", "1ms").process.wait()
    wait(lambda: list((room.folder / "gates").iterdir()) == [])
