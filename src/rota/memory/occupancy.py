"""Where a GPU's memory is now, in bytes that add up to all of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from rota.model import GpuMemory


@dataclass(frozen=True, slots=True)
class Occupancy:
    """clients + unmanaged + ballast + system + free = total, to the byte.

    Attributes:
        clients: client → bytes that its processes use.
        unmanaged: bytes of processes without a replica.
        ballast: what is held so that nobody takes it.
        system: what no process accounts for: the driver's own, and whatever changed between the
            reading of the GPU and that of its processes, so that it may be below zero for a moment.
        free: what anybody whose gate is open could take.
        total: the GPU's memory.
    """

    clients: Mapping[str, int]
    unmanaged: int
    ballast: int
    system: int
    free: int
    total: int

    @classmethod
    def of(
        cls, memory: GpuMemory, clients: Mapping[str, int], unmanaged: int, ballast: int
    ) -> Occupancy:
        """What a reading of the GPU and of its processes comes to."""
        known = sum(clients.values()) + unmanaged + ballast
        system = memory.total - memory.free - known
        return cls(dict(clients), unmanaged, ballast, system, memory.free, memory.total)


def measured_reserve(system: int, context: int, starters: int = 1) -> int:
    """The reserve under `auto`: the driver's own memory and room for `starters` contexts."""
    return max(0, system) + context * starters
