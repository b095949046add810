"""How warm, how thirsty, how fast and how busy a GPU is: what NVML's sensors say.

Each sensor is asked by itself, since some GPUs lack some of them; one that does not answer is None.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from rota.gpu.binding import Binding, NvmlFault

_MEGA = 1_000_000.0
_MILLI = 1000.0
_TEMPERATURE_GPU = 0
_CLOCK_SM = 1
_CLOCK_MEMORY = 2


@dataclass(frozen=True, slots=True)
class Vitals:
    """One GPU's sensors at one moment; None where it does not say.

    Attributes:
        temperature_celsius: of the GPU's core.
        power_watts: what the whole board draws.
        power_limit_watts: what it may draw.
        sm_clock_hertz, memory_clock_hertz: the clocks now.
        utilization: the part of the last sample period in which a kernel ran, 0 to 1.
        memory_utilization: the same for reading and writing its memory.
    """

    temperature_celsius: float | None = None
    power_watts: float | None = None
    power_limit_watts: float | None = None
    sm_clock_hertz: float | None = None
    memory_clock_hertz: float | None = None
    utilization: float | None = None
    memory_utilization: float | None = None


@runtime_checkable
class VitalsDoor(Protocol):
    """An inventory door that reads sensors as well."""

    def vitals(self, gpu: str) -> Vitals:
        """The sensors of the GPU with this UUID.

        Raises:
            GpuError: the driver does not answer at all.
        """
        ...


def vitals_of(door: object, gpu: str) -> Vitals:
    """What that door can tell of the GPU; nothing, if it reads no sensors."""
    return door.vitals(gpu) if isinstance(door, VitalsDoor) else Vitals()


def read(binding: Binding, uuid: str, handle: Any) -> Vitals:
    """Ask NVML. A sensor that fails is left out; a GPU that is gone has none.

    Units as NVML documents them: mW, MHz, percent, degrees Celsius.
    """

    def ask(name: str, *args: Any) -> Any | None:
        try:
            return binding.ask(uuid, name, handle, *args)
        except NvmlFault:
            return None

    rates = ask("nvmlDeviceGetUtilizationRates")
    return Vitals(
        _scaled(ask("nvmlDeviceGetTemperature", _TEMPERATURE_GPU), 1.0),
        _scaled(ask("nvmlDeviceGetPowerUsage"), 1 / _MILLI),
        _scaled(ask("nvmlDeviceGetEnforcedPowerLimit"), 1 / _MILLI),
        _scaled(ask("nvmlDeviceGetClockInfo", _CLOCK_SM), _MEGA),
        _scaled(ask("nvmlDeviceGetClockInfo", _CLOCK_MEMORY), _MEGA),
        _part(rates.gpu) if rates else None,
        _part(rates.memory) if rates else None,
    )


def _scaled(value: Any, unit: float) -> float | None:
    return float(value) * unit if value is not None else None


def _part(percent: Any) -> float:
    return min(1.0, max(0.0, int(percent) / 100))
