"""The real inventory: NVIDIA's management library, through nvidia-ml-py.

Nothing here touches the driver before the first call, so that making the door never hangs and
never fails; whoever fears a driver that hangs wraps it (`deadline`). A failed start is tried anew
by the next call: a driver may come later than the agent.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, TypeVar

from rota.errors import GpuError
from rota.gpu.accounts import Ledger, Sample
from rota.gpu.binding import Binding, NvmlFault
from rota.gpu.deadline import SECONDS, DeadlineInventory
from rota.gpu.doors import InventoryDoor
from rota.gpu.events import Events
from rota.gpu.survey import Say, memory, survey
from rota.gpu.vitals import Vitals
from rota.gpu.vitals import read as read_vitals
from rota.model import GpuMemory, GpuProcess, HealthEvent, Inventory

T = TypeVar("T")

_RECOVERY = {
    1: "reset",
    2: "reboot",
    3: "drain-p2p",
    4: "drain-and-reset",
    5: "recover-imex-domain",
    6: "bus-reset",
    7: "system-reboot",
}
"""NVML_GPU_RECOVERY_ACTION_*, in our words."""

_UNKNOWN_MEMORY = 2**64 - 1


def _ignore(_: GpuError) -> None:
    pass


def open_nvml(say: Say = _ignore, seconds: float = SECONDS) -> InventoryDoor:
    """The GPUs of this machine, behind a door that always answers. Nothing is asked of a driver yet.

    Args:
        say: is told once of each thing that was left out or cannot be had.
        seconds: how long a call may take; the first one starts the driver.
    """
    return DeadlineInventory(NvmlInventory(say=say), seconds)


class NvmlInventory:
    """The `InventoryDoor` of a machine with NVIDIA's driver. Calls may come from any thread.

    Args:
        nvml: nvidia-ml-py, or what has its shape; None imports it at the first call.
        say: is told once of each thing that was left out or cannot be had.
    """

    def __init__(self, nvml: Any | None = None, say: Say = _ignore) -> None:
        self._module = nvml
        self._tell = say
        self._told: set[str] = set()
        self._ledgers: dict[str, Ledger] = {}
        self._lock = threading.Lock()
        self._binding: Binding | None = None
        self._events: Events | None = None
        self._closed = False

    def inventory(self) -> Inventory:
        """All GPUs that answer; the others are stated and left out.

        Raises:
            GpuError: no driver, no GPU, or none that answers.
        """
        return self._ask(lambda binding: survey(binding, self._say))

    def memory(self, gpu: str) -> GpuMemory:
        """Memory of the GPU or MIG device with this UUID; `used` without the driver's reserve."""
        return self._ask(lambda binding: memory(binding, gpu, _handle(binding, gpu)))

    def processes(self, gpu: str) -> tuple[GpuProcess, ...]:
        """Compute and graphics processes by pid, each once."""
        return self._ask(lambda binding: _processes(binding, gpu))

    def utilization(self, gpu: str) -> float:
        """The part of NVML's last sample period (up to a second) in which a kernel ran."""
        return self._ask(lambda binding: _utilization(binding, gpu))

    def vitals(self, gpu: str) -> Vitals:
        """What the GPU's sensors say; a sensor that it lacks says None."""
        return self._ask(lambda binding: read_vitals(binding, gpu, _handle(binding, gpu)))

    def accounts(self, gpu: str) -> Mapping[int, float]:
        """Pid → seconds of the SMs since the first call; empty where NVML cannot tell (MIG)."""
        binding = self._open()
        ledger = self._ledgers.setdefault(
            gpu, Ledger(lambda since: _samples(self._open(), gpu, since))
        )
        _handle(binding, gpu)
        return ledger.look(time.time_ns() // 1000)

    def wait_event(self, timeout: float) -> HealthEvent | None:
        """The next error that the driver reports; None after `timeout` seconds or a close."""
        binding = self._open()
        with self._lock:
            if self._events is None:
                handles = dict(_handles(binding))
                self._events = Events(binding, handles, self._say)
            events = self._events
        return events.wait(timeout)

    def needs_recovery(self, gpu: str) -> str:
        """What the driver asks for, such as `reset`; empty if nothing, or if it cannot say."""
        return self._ask(lambda binding: _recovery(binding, gpu))

    def close(self) -> None:
        """Give the driver back. Twice is once; calls after it are refused."""
        with self._lock:
            binding, events, self._closed = self._binding, self._events, True
            self._binding = self._events = None
        if events:
            events.close()
        if binding:
            binding.ask_or(None, "NVML", "nvmlShutdown")

    def _ask(self, question: Callable[[Binding], T]) -> T:
        return question(self._open())

    def _open(self) -> Binding:
        with self._lock:
            if self._closed:
                raise GpuError("NVML was given back already", where="NVML")
            if self._binding is None:
                binding = Binding(self._module or _import())
                binding.ask("NVML", "nvmlInit")
                self._binding = binding
            return self._binding

    def _say(self, statement: GpuError) -> None:
        if str(statement) not in self._told:
            self._told.add(str(statement))
            self._tell(statement)


def _import() -> Any:
    import pynvml

    return pynvml


def _handle(binding: Binding, uuid: str) -> Any:
    return binding.ask(uuid, "nvmlDeviceGetHandleByUUID", uuid)


def _handles(binding: Binding) -> Iterator[tuple[str, Any]]:
    for index in range(int(binding.ask("NVML", "nvmlDeviceGetCount"))):
        try:
            handle = binding.ask(f"GPU {index}", "nvmlDeviceGetHandleByIndex", index)
            yield str(binding.ask(f"GPU {index}", "nvmlDeviceGetUUID", handle)), handle
        except NvmlFault:
            continue  # the inventory has said it


def _processes(binding: Binding, uuid: str) -> tuple[GpuProcess, ...]:
    handle = _handle(binding, uuid)
    used: dict[int, int] = {}
    for kind in ("Compute", "Graphics"):
        listed: Iterable[Any] = binding.ask_or(
            (), uuid, f"nvmlDeviceGet{kind}RunningProcesses", handle
        )
        for process in listed:
            size = process.usedGpuMemory
            known = int(size) if size is not None and size != _UNKNOWN_MEMORY else 0
            used[int(process.pid)] = max(used.get(int(process.pid), 0), known)
    return tuple(GpuProcess(pid, size) for pid, size in sorted(used.items()))


def _samples(binding: Binding, uuid: str, since: int) -> Iterator[Sample]:
    """NVML's samples after `since` (µs since 1970); none is an error to the binding, not to us."""
    handle = _handle(binding, uuid)
    try:
        found = binding.ask_or((), uuid, "nvmlDeviceGetProcessUtilization", handle, since)
    except NvmlFault as fault:
        if not (fault.not_found or fault.code == 0):
            raise
        return
    for sample in found:
        yield Sample(int(sample.pid), int(sample.timeStamp), int(sample.smUtil))


def _utilization(binding: Binding, uuid: str) -> float:
    rates = binding.ask(uuid, "nvmlDeviceGetUtilizationRates", _handle(binding, uuid))
    return min(1.0, int(rates.gpu) / 100)


def _recovery(binding: Binding, uuid: str) -> str:
    field = binding.constant("NVML_FI_DEV_GET_GPU_RECOVERY_ACTION")
    if field is None:
        return ""
    values = binding.ask_or((), uuid, "nvmlDeviceGetFieldValues", _handle(binding, uuid), [field])
    if not values or int(values[0].nvmlReturn) != 0:
        return ""
    action = int(values[0].value.uiVal)
    return _RECOVERY.get(action, f"action {action}") if action else ""
