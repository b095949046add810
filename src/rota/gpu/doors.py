"""The doors as Protocols. Each has a real side in this room and an emulated one in `emulation/`.

Every call here may block in the driver. Callers with a loop to keep call from a thread with a
deadline; the doors themselves only promise to raise `GpuError` and nothing else.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from typing import Protocol

from rota.errors import GpuError
from rota.model import GpuMemory, GpuProcess, HealthEvent, Inventory


class InventoryDoor(Protocol):
    """What the node has and how it fares (NVML, or the emulated driver)."""

    def inventory(self) -> Inventory:
        """All GPUs of the node as they are now."""
        ...

    def memory(self, gpu: str) -> GpuMemory:
        """Total, used and free bytes of the GPU with this UUID."""
        ...

    def processes(self, gpu: str) -> tuple[GpuProcess, ...]:
        """The processes that have a context on this GPU, with host pids."""
        ...

    def utilization(self, gpu: str) -> float:
        """The part of the last sample period in which a kernel ran, 0 to 1."""
        ...

    def accounts(self, gpu: str) -> Mapping[int, float]:
        """Pid → seconds of this GPU's time that the process was served, as far as this door saw.

        It only grows while a process lives. NVML tells utilisation by process, five times a
        second; the emulated GPU knows to the slice.
        """
        ...

    def wait_event(self, timeout: float) -> HealthEvent | None:
        """The next error that the driver reports; None when `timeout` seconds passed without."""
        ...

    def needs_recovery(self, gpu: str) -> str:
        """The recovery action that the driver asks for (`reset`, `reboot`, …); empty if none."""
        ...

    def close(self) -> None:
        """Give the driver back. Twice is once."""
        ...


class GateState(enum.StrEnum):
    """The state of a process towards the GPU, in our words (the driver's in brackets)."""

    OPEN = "open"  # running
    CLOSED = "closed"  # locked
    PAGED_OUT = "paged-out"  # checkpointed
    FAILED = "failed"  # the driver lost it


class GateDoor(Protocol):
    """What stands between one process and the GPU (CUDA's checkpoint API, or its emulation).

    `started` is the start time of the process (field 22 of /proc/<pid>/stat, in clock ticks): no
    call ever reaches another process that has been given the same pid.
    """

    def open(self, pid: int, started: int) -> None:
        """Open the gate. Blocks until done (0.3 ms at the median)."""
        ...

    def close(self, pid: int, started: int, timeout: float) -> None:
        """Close the gate, after what was submitted has drained; give up after `timeout` seconds.

        Raises:
            GateBusy: it did not drain in time; the gate is open as before.
        """
        ...

    def state(self, pid: int, started: int) -> GateState:
        """The state now. May block while a peer of the process is closed."""
        ...

    def page_out(self, pid: int, started: int) -> None:
        """Bring all GPU memory of a process whose gate is closed to host memory (2.3 GiB/s).

        Raises:
            GateUnsupported: it uses what cannot be checkpointed; its gate is closed as before.
        """
        ...

    def page_in(self, pid: int, started: int) -> None:
        """Bring it back (6.8 GiB/s); the gate is closed then.

        Only where there is room: a restore that meets too little memory loses the process.
        """
        ...


class BallastDoor(Protocol):
    """Holds GPU memory without a context (`cuMemCreate`, or the emulated GPU).

    What is held ends with the process that holds it. Calls for one GPU come from one thread.
    """

    def granule(self, gpu: str) -> int:
        """The size in bytes of which every piece is a multiple."""
        ...

    def take(self, gpu: str, sizes: Sequence[int]) -> list[int]:
        """Hold pieces of these sizes, in order; a handle for each that there was room for.

        The first that finds no room is the last that is tried. Returns at once (32 GiB in 0.6 ms).

        Raises:
            GpuError: nothing can be held here. What was taken in this call is let go again.
        """
        ...

    def release(self, gpu: str, handles: Sequence[int]) -> None:
        """Let pieces go (0.7 ms a GiB on an H200)."""
        ...

    def close(self) -> None:
        """Let everything go. Twice is once."""
        ...


class GateError(GpuError):
    """A call about a gate did not do what was asked. Members say why; each has its own answer."""


class GateGone(GateError):
    """The process is no more, or the pid is another's now: forget it."""


class GateNoContext(GateError):
    """The process has no CUDA context (yet): nothing to gate."""


class GateBusy(GateError):
    """What was submitted did not drain before the deadline: still open, try later."""


class GateIllegal(GateError):
    """Close of a closed gate, or open of an open one: somebody else did it. Ask for the state."""


class GateForbidden(GateError):
    """The caller lacks the right (another user's process, no CAP_SYS_PTRACE): run ungated."""


class GateUnsupported(GateError):
    """This driver, architecture or process cannot be gated: run ungated."""
