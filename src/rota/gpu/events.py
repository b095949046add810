"""The errors that the driver reports by itself: NVML's event set, waited on in short slices.

Registered are critical Xids, uncorrectable memory errors and the driver's own "this GPU is gone",
each where the GPU supports it. NVML cannot wake a waiter, so one wait is cut into slices: whoever
closes the door waits half a second at most.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Mapping
from typing import Any

from rota.errors import GpuError
from rota.gpu.binding import Binding, NvmlFault
from rota.gpu.survey import Say
from rota.model import HealthEvent

_SLICE = 0.5
"""Seconds of one wait in NVML."""

_XID = "nvmlEventTypeXidCriticalError"
_DETAILS = {
    _XID: "",
    "nvmlEventTypeDoubleBitEccError": "an uncorrectable memory error (double-bit ECC)",
    "nvmlEventTypeFatalPoisonError": "a fatal poison error: the GPU used memory known to be bad",
    "nvmlEventTypeGpuUnavailableError": "the driver says that the GPU is unavailable",
}
"""What is registered, and what it is called; a binding that lacks a name goes without."""


class Events:
    """The event set over all GPUs that support one. One waiter at a time.

    Args:
        binding: NVML, initialised.
        handles: UUID → NVML's handle.
        say: is told of GPUs that report no events.
    """

    def __init__(self, binding: Binding, handles: Mapping[str, Any], say: Say) -> None:
        self._binding = binding
        self._handles = dict(handles)
        self._say = say
        self._lock = threading.Lock()
        self._closing = threading.Event()
        self._lost: list[HealthEvent] = []
        self._kinds = {
            bit: detail
            for name, detail in _DETAILS.items()
            if (bit := binding.constant(name)) is not None
        }
        self._set = binding.ask("NVML", "nvmlEventSetCreate")
        self._registered = {u for u, handle in self._handles.items() if self._register(u, handle)}

    def wait(self, timeout: float) -> HealthEvent | None:
        """The next event; None after `timeout` seconds, or when the set is closed meanwhile.

        Raises:
            GpuError: NVML cannot wait any more, for another reason than a lost GPU.
        """
        deadline = time.monotonic() + timeout
        while not self._closing.is_set():
            left = deadline - time.monotonic()
            event = self._slice(max(0.0, min(left, _SLICE)))
            if event or left <= _SLICE:
                return event
        return None

    def close(self) -> None:
        """Free the set, after the slice that is being waited for."""
        self._closing.set()
        with self._lock:
            if self._set is not None:
                self._binding.ask_or(None, "NVML", "nvmlEventSetFree", self._set)
                self._set = None

    def _slice(self, seconds: float) -> HealthEvent | None:
        with self._lock:
            if self._lost:
                return self._lost.pop(0)
            if self._set is None or not self._registered:
                self._closing.wait(seconds)
                return None
            try:
                data = self._binding.ask(
                    "NVML", "nvmlEventSetWait", self._set, math.ceil(seconds * 1000)
                )
            except NvmlFault as fault:
                return self._not_waited(fault)
            return self._read(data)

    def _not_waited(self, fault: NvmlFault) -> HealthEvent | None:
        if fault.timeout:
            return None
        if not fault.lost:
            raise fault
        self._lost = [
            HealthEvent(uuid, 0, "the GPU is lost: it has fallen off the bus")
            for uuid in sorted(self._registered)
            if self._is_lost(uuid)
        ]
        if not self._lost:
            raise fault
        self._rebuild(without={event.gpu for event in self._lost})
        return self._lost.pop(0)

    def _is_lost(self, uuid: str) -> bool:
        try:
            self._binding.ask_or(None, uuid, "nvmlDeviceGetMemoryInfo", self._handles[uuid])
        except NvmlFault as fault:
            return fault.lost
        return False

    def _rebuild(self, without: set[str | None]) -> None:
        """A lost GPU makes every wait fail at once; go on with the others."""
        self._binding.ask_or(None, "NVML", "nvmlEventSetFree", self._set)
        self._set = self._binding.ask("NVML", "nvmlEventSetCreate")
        kept = self._registered - without
        self._registered = {uuid for uuid in kept if self._register(uuid, self._handles[uuid])}

    def _register(self, uuid: str, handle: Any) -> bool:
        try:
            supported = int(self._binding.ask(uuid, "nvmlDeviceGetSupportedEventTypes", handle))
            wanted = supported & sum(self._kinds)
            if wanted:
                self._binding.ask(uuid, "nvmlDeviceRegisterEvents", handle, wanted, self._set)
        except NvmlFault as fault:
            self._say(_deaf(uuid, fault.what))
            return False
        if not wanted:
            self._say(_deaf(uuid, "it supports none of the events"))
        return bool(wanted)

    def _read(self, data: Any) -> HealthEvent | None:
        kind = int(data.eventType)
        uuid = self._uuid(data.device)
        if kind == self._binding.constant(_XID):
            return HealthEvent(uuid, int(data.eventData), f"Xid {int(data.eventData)}")
        detail = self._kinds.get(kind)
        return HealthEvent(uuid, 0, detail) if detail else None

    def _uuid(self, handle: Any) -> str | None:
        try:
            return str(self._binding.ask("NVML", "nvmlDeviceGetUUID", handle))
        except NvmlFault:
            return None


def _deaf(uuid: str, why: str) -> GpuError:
    return GpuError(
        f"it reports no errors, since {why}", where=uuid, hint="its health is not watched by events"
    )
