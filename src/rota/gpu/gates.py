"""The real side of the gate door: the CUDA driver's process checkpoint API.

The calls release the GIL, so several threads close several gates at once. Unlock and the state
query have no timeout of their own and were seen to hang while a peer of the process was locked:
whoever has a loop to keep calls from a thread with a deadline.
"""

from __future__ import annotations

import math
import os
from typing import Any

from rota.gpu.cuda import CudaFault, CudaMissing, LateDriver, checked
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
from rota.gpu.processes import started as start_time

_KINDS: dict[str, tuple[type[GateError], str]] = {
    "CUDA_ERROR_NOT_INITIALIZED": (GateNoContext, "has no CUDA context"),
    "CUDA_ERROR_DEINITIALIZED": (GateGone, "is ending"),
    "CUDA_ERROR_NOT_READY": (GateBusy, "did not drain in time"),
    "CUDA_ERROR_ILLEGAL_STATE": (GateIllegal, "is not in the state for this"),
    "CUDA_ERROR_NOT_PERMITTED": (GateForbidden, "may not be gated by this user"),
    "CUDA_ERROR_NOT_SUPPORTED": (GateUnsupported, "cannot be gated by this driver"),
    "CUDA_ERROR_INVALID_VALUE": (GateUnsupported, "was not accepted by this driver"),
    "CUDA_ERROR_STUB_LIBRARY": (GateUnsupported, "cannot be gated: libcuda here is a stub"),
}


def gate_error(code: str, pid: int, started: int) -> GateError:
    """What a code of the driver means for a gate.

    CUDA_ERROR_OPERATING_SYSTEM is said of a process that is gone and of one that is another's:
    /proc tells which.
    """
    if start_time(pid) != started:
        return GateGone(f"process {pid} is no more")
    if code == "CUDA_ERROR_OPERATING_SYSTEM":
        return GateForbidden(
            f"process {pid} may not be gated by user {os.geteuid()}",
            hint="the gatekeeper needs CAP_SYS_PTRACE, for another user's program "
            "CAP_DAC_OVERRIDE besides, or to run as that user",
        )
    kind, why = _KINDS.get(code, (GateError, f"could not be gated: {code}"))
    return kind(f"process {pid} {why}")


class CudaGates:
    """Gates of CUDA processes. Safe for several threads.

    The driver is loaded at the first call, so making this never fails.

    Args:
        driver: `cuda.bindings.driver` as `rota.gpu.cuda.load` gives it; loaded if None.
    """

    def __init__(self, driver: Any | None = None) -> None:
        self._driver = LateDriver(driver)

    def open(self, pid: int, started: int) -> None:
        """Open the gate, whoever closed it."""
        self._call("cuCheckpointProcessUnlock", pid, started, None)

    def close(self, pid: int, started: int, timeout: float) -> None:
        """Close the gate after what was submitted has drained.

        Raises:
            GateBusy: it did not drain within `timeout` seconds; the gate is open as before.
        """
        arguments = self._loaded().CUcheckpointLockArgs()
        # 0 would mean no limit at all.
        arguments.timeoutMs = max(1, math.ceil(timeout * 1000))
        self._call("cuCheckpointProcessLock", pid, started, arguments)
        if start_time(pid) != started:
            raise GateGone(f"process {pid} is no more")

    def state(self, pid: int, started: int) -> GateState:
        """The state now. A process on its way between two states counts as paged out."""
        state = int(self._call("cuCheckpointProcessGetState", pid, started))
        known = (GateState.OPEN, GateState.CLOSED, GateState.PAGED_OUT, GateState.FAILED)
        return known[state] if state < len(known) else GateState.PAGED_OUT

    def page_out(self, pid: int, started: int) -> None:
        """Bring all GPU memory of a process whose gate is closed to host memory."""
        self._call("cuCheckpointProcessCheckpoint", pid, started, None)

    def page_in(self, pid: int, started: int) -> None:
        """Bring it back; the gate is closed then."""
        self._call("cuCheckpointProcessRestore", pid, started, None)

    def _call(self, name: str, pid: int, started: int, *arguments: Any) -> Any:
        driver = self._loaded()
        if start_time(pid) != started:
            raise GateGone(f"process {pid} is no more")
        try:
            return checked(name, getattr(driver, name)(pid, *arguments))
        except CudaFault as error:
            raise gate_error(error.code, pid, started) from error
        except (AttributeError, RuntimeError) as error:
            raise GateUnsupported(
                f"the driver has no {name}", hint="gates need driver 570 and cuda-bindings 12.8"
            ) from error

    def _loaded(self) -> Any:
        try:
            return self._driver.get()
        except (CudaMissing, CudaFault) as error:
            raise GateUnsupported(error.what, hint=error.hint) from error
