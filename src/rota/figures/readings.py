"""What the driver says of each GPU at one look: memory, processes, accounts, sensors."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from rota.errors import GpuError
from rota.figures.facts import Door
from rota.gpu.vitals import Vitals, vitals_of
from rota.model import GpuMemory

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Reading:
    """One GPU at one look; None where the driver did not tell.

    Attributes:
        memory: of the whole GPU.
        processes: pid → bytes.
        served: pid → seconds; None where the driver keeps no such accounts.
        vitals: its sensors.
    """

    memory: GpuMemory | None = None
    processes: Mapping[int, int] = field(default_factory=dict)
    served: Mapping[int, float] | None = None
    vitals: Vitals = field(default_factory=Vitals)


def read(door: Door, gpus: Iterable[str]) -> dict[str, Reading]:
    """Ask the driver about each GPU. Blocks; a GPU that does not answer has an empty reading."""
    return {gpu: _read(door, gpu) for gpu in gpus}


def _read(door: Door, gpu: str) -> Reading:
    processes = _ask(lambda: door.processes(gpu)) or ()
    return Reading(
        _ask(lambda: door.memory(gpu)),
        {one.pid: one.memory_bytes for one in processes},
        _ask(lambda: door.accounts(gpu)),
        _ask(lambda: vitals_of(door, gpu)) or Vitals(),
    )


def _ask(question: Callable[[], T]) -> T | None:
    try:
        return question()
    except GpuError:
        return None
