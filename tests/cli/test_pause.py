"""`rota pause` and `rota resume`, from the command line to the GPU and back."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.jobs.machines import Machine, sharing, until

PAGING = sharing(3) + (
    "rota:\n"
    "  paging: {enabled: true, idleAfter: 1s, hostMemory: 100%}\n"
    "  memory: {oversubscribe: 1.5}\n"
)
NOTEBOOK = (sys.executable, "-m", "rota.emulation.workloads", "notebook", "--think", "600s")


def state_of(machine: Machine, name: str) -> str:
    return next((job["state"] for job in machine.jobs() if job["name"] == name), "")


@pytest.fixture
def machine() -> Iterator[Machine]:
    made = Machine(Path(tempfile.mkdtemp(prefix="rota")))
    yield made
    made.close()
    shutil.rmtree(made.folder, ignore_errors=True)


def start(machine: Machine, name: str, memory: str) -> None:
    """A notebook that has had its first cell, and thinks from now on."""
    out = machine.folder / name
    where = ("--memory", memory, "--out", str(out))
    machine.start("run", "--name", name, "--", *NOTEBOOK, *where)
    until(lambda: out.exists() and '"cell"' in out.read_text())


def test_an_idle_job_makes_room_for_another_and_by_hand_it_goes_and_comes_back(
    machine: Machine,
) -> None:
    machine.serve(PAGING)
    busy = (*NOTEBOOK[:3], "trainer", "--memory", "7Gi", "--kernel", "5ms")
    machine.start("run", "--name", "busy", "--", *busy, stdout=subprocess.DEVNULL)
    start(machine, "first", "3Gi")
    time.sleep(1.5)  # it is idle by then; later does no harm
    start(machine, "second", "3Gi")
    assert state_of(machine, "second") == "running"
    until(lambda: state_of(machine, "first") == "paged out")
    said = machine.rota("pause", "second")
    assert "paged out, 3.2 GiB, in" in said.stdout, said.stderr
    assert state_of(machine, "second") == "paused"
    said = machine.rota("resume", "first")
    assert "on the GPU again, 3.2 GiB" in said.stdout, said.stderr
    assert machine.rota("pause", "nobody").returncode == 1
    machine.end_agent()  # who has room comes back before its gatekeeper ends
    assert list((machine.run_dir / "paged").iterdir()) == []
