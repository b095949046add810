"""The sensors of an emulated GPU: made up from how busy it is, so that whoever shows them has some.

A rule of thumb and no model of any GPU: idle it draws 60 W at 32 °C, at full load 300 W at 68 °C.
"""

from __future__ import annotations

from rota.gpu.vitals import Vitals

_IDLE_WATTS, _FULL_WATTS = 60.0, 300.0
_IDLE_CELSIUS, _FULL_CELSIUS = 32.0, 68.0
_SLOW_HERTZ, _FAST_HERTZ = 345e6, 1_980e6
_MEMORY_HERTZ = 3_201e6


def vitals(utilization: float) -> Vitals:
    """Sensors of a GPU that is so busy, 0 to 1."""
    return Vitals(
        temperature_celsius=round(_between(_IDLE_CELSIUS, _FULL_CELSIUS, utilization), 1),
        power_watts=round(_between(_IDLE_WATTS, _FULL_WATTS, utilization), 1),
        power_limit_watts=_FULL_WATTS,
        sm_clock_hertz=_FAST_HERTZ if utilization > 0 else _SLOW_HERTZ,
        memory_clock_hertz=_MEMORY_HERTZ,
        utilization=utilization,
        memory_utilization=round(utilization / 2, 3),
    )


def _between(low: float, high: float, part: float) -> float:
    return low + (high - low) * min(1.0, max(0.0, part))
