"""The real gate door, as far as it shows without a GPU: errors, and whom it never touches."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest
from cuda.bindings import driver as bindings

from rota.gpu.doors import (
    GateBusy,
    GateError,
    GateForbidden,
    GateGone,
    GateIllegal,
    GateNoContext,
    GateState,
    GateUnsupported,
)
from rota.gpu.gates import CudaGates, gate_error
from rota.gpu.processes import started

Code = bindings.CUresult


class Driver:
    """Answers as the driver's documentation says for one process, and notes what it was asked."""

    CUcheckpointLockArgs = bindings.CUcheckpointLockArgs

    def __init__(self, code: Any = Code.CUDA_SUCCESS, state: int = 0) -> None:
        self.code = code
        self.state = bindings.CUprocessState(state)
        self.asked: list[tuple[str, int]] = []
        self.timeout = 0

    def cuCheckpointProcessLock(self, pid: int, arguments: Any) -> tuple[Any]:  # noqa: N802
        self.asked.append(("lock", pid))
        self.timeout = arguments.timeoutMs
        return (self.code,)

    def cuCheckpointProcessUnlock(self, pid: int, arguments: Any) -> tuple[Any]:  # noqa: N802
        self.asked.append(("unlock", pid))
        return (self.code,)

    def cuCheckpointProcessGetState(self, pid: int) -> tuple[Any, Any]:  # noqa: N802
        self.asked.append(("state", pid))
        return self.code, self.state


@pytest.fixture
def process() -> Iterator[tuple[int, int]]:
    """(pid, start time) of a process that sleeps."""
    sleeper = subprocess.Popen(["sleep", "1000"])
    when = started(sleeper.pid)
    assert when is not None
    yield sleeper.pid, when
    sleeper.kill()
    sleeper.wait()


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("CUDA_ERROR_OPERATING_SYSTEM", GateForbidden),
        ("CUDA_ERROR_NOT_INITIALIZED", GateNoContext),
        ("CUDA_ERROR_ILLEGAL_STATE", GateIllegal),
        ("CUDA_ERROR_NOT_READY", GateBusy),
        ("CUDA_ERROR_NOT_SUPPORTED", GateUnsupported),
        ("CUDA_ERROR_UNKNOWN", GateError),
    ],
)
def test_each_code_of_the_driver_has_its_own_error(
    process: tuple[int, int], code: str, kind: type[GateError]
) -> None:
    gates = CudaGates(Driver(getattr(Code, code)))
    with pytest.raises(GateError, match=f"process {process[0]} ") as raised:
        gates.close(*process, 1.0)
    assert type(raised.value) is kind


def test_whatever_the_driver_says_of_a_process_that_is_gone_it_is_gone() -> None:
    assert type(gate_error("CUDA_ERROR_OPERATING_SYSTEM", 1 << 22, 1)) is GateGone
    assert type(gate_error("CUDA_ERROR_ILLEGAL_STATE", os.getpid(), 1)) is GateGone


def test_no_call_is_made_for_another_process_with_the_same_pid(process: tuple[int, int]) -> None:
    driver = Driver()
    gates = CudaGates(driver)
    pid, when = process
    for call in (
        lambda: gates.open(pid, when - 1),
        lambda: gates.close(pid, when - 1, 1.0),
        lambda: gates.state(pid, when - 1),
    ):
        with pytest.raises(GateGone):
            call()
    assert driver.asked == []


def test_a_close_always_has_a_limit(process: tuple[int, int]) -> None:
    driver = Driver()
    gates = CudaGates(driver)
    gates.close(*process, 0.0)
    assert driver.timeout == 1
    gates.close(*process, 0.25)
    assert driver.timeout == 250
    gates.open(*process)
    assert driver.asked == [("lock", process[0])] * 2 + [("unlock", process[0])]


@pytest.mark.parametrize(
    ("driver", "ours"),
    [
        ("RUNNING", GateState.OPEN),
        ("LOCKED", GateState.CLOSED),
        ("CHECKPOINTED", GateState.PAGED_OUT),
        ("FAILED", GateState.FAILED),
    ],
)
def test_the_driver_s_states_in_our_words(
    process: tuple[int, int], driver: str, ours: GateState
) -> None:
    state = getattr(bindings.CUprocessState, f"CU_PROCESS_STATE_{driver}").value
    assert CudaGates(Driver(state=state)).state(*process) is ours


def test_an_old_driver_cannot_gate(process: tuple[int, int]) -> None:
    class Old:
        """A driver without the checkpoint API, as the bindings show it."""

        def cuCheckpointProcessGetState(self, pid: int) -> Any:  # noqa: N802
            raise RuntimeError('Function "cuCheckpointProcessGetState" not found')

    with pytest.raises(GateUnsupported, match="has no cuCheckpointProcessGetState"):
        CudaGates(Old()).state(*process)
