"""Gates and demand on a real GPU with the PTX workload. Left out where there is no NVIDIA driver."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from rota.gpu.demand import ProcessDemand
from rota.gpu.doors import GateBusy, GateGone, GateIllegal, GateNoContext, GateState
from rota.gpu.gates import CudaGates
from rota.gpu.processes import started

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(
        not Path("/proc/driver/nvidia/version").exists(), reason="no NVIDIA driver here"
    ),
]

Start = Callable[..., tuple[int, int]]


def eventually(condition: Callable[[], Any]) -> Any:
    end = time.monotonic() + 30.0
    while not (value := condition()):
        assert time.monotonic() < end
        time.sleep(0.002)
    return value


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Start a workload; (pid, start time) once it is ready."""
    running: list[subprocess.Popen[bytes]] = []

    def run(*arguments: str) -> tuple[int, int]:
        out = tmp_path / str(len(running))
        program = [sys.executable, "-m", "rota.gpu.workload", *arguments, "--out", str(out)]
        process = subprocess.Popen(program, stdout=subprocess.DEVNULL)
        running.append(process)
        eventually(lambda: out.exists() and "ready" in out.read_text())
        ready = json.loads(out.read_text().splitlines()[0])
        assert ready["emulated"] is False
        when = started(process.pid)
        assert when is not None
        return process.pid, when

    yield run
    for process in running:
        process.kill()
        process.wait()


def test_a_trainer_waits_at_its_closed_gate(start: Start) -> None:
    pid, when = start("trainer", "--kernel", "2ms")
    gates, demand = CudaGates(), ProcessDemand(pid, when)
    for _ in range(20):
        gates.close(pid, when, 5.0)
        assert gates.state(pid, when) is GateState.CLOSED
        eventually(demand.wants)
        with pytest.raises(GateIllegal):
            gates.close(pid, when, 5.0)
        gates.open(pid, when)
        eventually(lambda: not demand.asleep())
    demand.close()


def test_a_server_between_two_requests_wants_nothing(start: Start) -> None:
    pid, when = start("server", "--kernel", "1ms", "--period", "3600s")
    gates, demand = CudaGates(), ProcessDemand(pid, when)
    eventually(lambda: all(demand.asleep() for _ in range(20)))
    gates.close(pid, when, 5.0)
    assert not any(demand.wants() for _ in range(20))
    gates.open(pid, when)
    demand.close()


def test_a_long_kernel_does_not_drain_in_time(start: Start) -> None:
    pid, when = start("trainer", "--kernel", "2s")
    with pytest.raises(GateBusy):
        CudaGates().close(pid, when, 0.05)


def test_a_process_without_cuda_has_no_gate_and_a_dead_one_is_gone() -> None:
    sleeper = subprocess.Popen(["sleep", "1000"])
    when = started(sleeper.pid)
    assert when is not None
    with pytest.raises(GateNoContext):
        CudaGates().close(sleeper.pid, when, 1.0)
    sleeper.kill()
    sleeper.wait()
    with pytest.raises(GateGone):
        CudaGates().close(sleeper.pid, when, 1.0)
