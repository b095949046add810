"""The emulated side of the inventory door: what NVML would tell."""

from __future__ import annotations

import select
from pathlib import Path

from rota.emulation import layout
from rota.emulation.link import Link
from rota.emulation.vitals import vitals
from rota.gpu.vitals import Vitals
from rota.model import GpuMemory, GpuProcess, HealthEvent, Inventory


class EmulatedInventory:
    """What the engine in that folder emulates and how it fares.

    Everything raises `GpuError` once the engine is gone.
    """

    def __init__(self, folder: Path) -> None:
        self._inventory = layout.read_inventory(folder)
        self._asks = Link(folder)
        self._events = Link(folder)
        self._events.ask("watch")

    def inventory(self) -> Inventory:
        """All emulated GPUs; `emulated` is true."""
        self._asks.ask("hello")
        return self._inventory

    def memory(self, gpu: str) -> GpuMemory:
        """Of a GPU (the sum of its MIG instances where it has some) or of a MIG instance."""
        answer = self._asks.ask("memory", device=gpu)
        return GpuMemory(answer["total"], answer["used"], answer["free"])

    def processes(self, gpu: str) -> tuple[GpuProcess, ...]:
        """The processes that have a context there, by pid."""
        answer = self._asks.ask("processes", device=gpu)
        return tuple(GpuProcess(pid, size) for pid, size in answer["processes"])

    def utilization(self, gpu: str) -> float:
        """The part of the last second in which a kernel ran."""
        return float(self._asks.ask("utilization", device=gpu)["utilization"])

    def vitals(self, gpu: str) -> Vitals:
        """Made up from how busy it is; see `rota.emulation.vitals`."""
        return vitals(self.utilization(gpu))

    def accounts(self, gpu: str) -> dict[int, float]:
        """Pid → seconds of GPU time it was served so far, also of processes that have ended."""
        answer = self._asks.ask("accounts", device=gpu)
        return {int(pid): float(seconds) for pid, seconds in answer["accounts"]}

    def wait_event(self, timeout: float) -> HealthEvent | None:
        """The next error that was injected since this object was made; in order, each once."""
        poll = select.poll()
        poll.register(self._events.fileno(), select.POLLIN)
        if not poll.poll(timeout * 1000):
            return None
        event = self._events.receive()
        return HealthEvent(event["gpu"], event["xid"], event["detail"])

    def needs_recovery(self, gpu: str) -> str:
        """The recovery action that was injected; empty if none."""
        return str(self._asks.ask("recovery", device=gpu)["action"])

    def close(self) -> None:
        """Leave the engine. Twice is once."""
        self._asks.close()
        self._events.cut()
        self._events.close()
