"""Sensors are read in base units, each by itself."""

from types import SimpleNamespace
from typing import Any

import pynvml
import pytest

from rota.emulation.vitals import vitals as made_up
from rota.gpu.binding import Binding
from rota.gpu.vitals import Vitals, read, vitals_of


class Sensors:
    """NVML as far as its sensors go; those in `lacking` are not there."""

    NVMLError = pynvml.NVMLError

    def __init__(self, *lacking: str) -> None:
        self._lacking = lacking

    def _read(self, name: str, value: Any) -> Any:
        if name in self._lacking:
            raise pynvml.NVMLError(pynvml.NVML_ERROR_NOT_SUPPORTED)
        return value

    def nvmlDeviceGetTemperature(self, _: object, sensor: int) -> int:  # noqa: N802
        assert sensor == pynvml.NVML_TEMPERATURE_GPU
        return int(self._read("temperature", 41))

    def nvmlDeviceGetPowerUsage(self, _: object) -> int:  # noqa: N802
        return int(self._read("power", 312_500))

    def nvmlDeviceGetEnforcedPowerLimit(self, _: object) -> int:  # noqa: N802
        return 700_000

    def nvmlDeviceGetClockInfo(self, _: object, kind: int) -> int:  # noqa: N802
        return {pynvml.NVML_CLOCK_SM: 1980, pynvml.NVML_CLOCK_MEM: 3201}[kind]

    def nvmlDeviceGetUtilizationRates(self, _: object) -> Any:  # noqa: N802
        return self._read("rates", SimpleNamespace(gpu=73, memory=20))


def test_every_sensor_has_its_base_unit() -> None:
    assert read(Binding(Sensors()), "GPU-0", object()) == Vitals(
        41.0, 312.5, 700.0, 1.98e9, 3.201e9, 0.73, 0.2
    )


@pytest.mark.parametrize(
    ("lacking", "field"),
    [("temperature", "temperature_celsius"), ("power", "power_watts"), ("rates", "utilization")],
)
def test_a_sensor_that_is_not_there_spoils_no_other(lacking: str, field: str) -> None:
    vitals = read(Binding(Sensors(lacking)), "GPU-0", object())
    assert getattr(vitals, field) is None
    assert vitals.power_limit_watts == 700.0


def test_a_door_without_sensors_says_nothing() -> None:
    assert vitals_of(object(), "GPU-0") == Vitals()


def test_an_emulated_gpu_is_warmer_and_thirstier_the_more_it_works() -> None:
    idle, half, full = (made_up(part) for part in (0.0, 0.5, 1.0))
    for name in ("temperature_celsius", "power_watts"):
        assert getattr(idle, name) < getattr(half, name) < getattr(full, name)
    assert half.utilization == 0.5
