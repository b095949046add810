"""dcgm-exporter's names and labels, so that dashboards and alerts made for it go on working.

Its per-device metrics are told of devices, without a pod: on a shared GPU a device's value belongs
to no single pod. Only the two that are true of a pod are told of pods as well: its own part of the
GPU's time, and its own memory. Units are dcgm-exporter's: percent, MiB, MHz.
"""

from __future__ import annotations

import platform
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from rota.figures.model import ClientFigures, GpuFigures, Snapshot

LABELS = (
    "gpu", "UUID", "pci_bus_id", "device", "modelName", "Hostname", "DCGM_FI_DRIVER_VERSION",
)  # fmt: skip
"""dcgm-exporter's labels of a device."""

POD_LABELS = ("namespace", "pod", "container")
"""And of a pod, besides."""

_MIB = 1024**2
_MEGA = 1e6


Devices = Mapping[str, tuple[str, ...]]
"""GPU → the values of `LABELS`."""


@dataclass(frozen=True, slots=True)
class Name:
    """One of dcgm-exporter's metrics.

    Attributes:
        name: its name.
        meaning: its help.
        gpu: its value for a device; None where it is not known.
        client: its value for a pod; None for a metric that is only true of a device.
    """

    name: str
    meaning: str
    gpu: Callable[[GpuFigures], float | None]
    client: Callable[[ClientFigures], float | None] | None = None


def _scaled(value: float | None, unit: float) -> float | None:
    return None if value is None else value / unit


NAMES = (
    Name("DCGM_FI_DEV_GPU_UTIL", "GPU utilization (in %).",
         lambda g: _scaled(g.utilization, 0.01), lambda c: round(100 * c.utilization, 1)),
    Name("DCGM_FI_DEV_FB_USED", "Framebuffer memory used (in MiB).",
         lambda g: _scaled(g.memory_used_bytes, _MIB), lambda c: c.memory_bytes / _MIB),
    Name("DCGM_FI_DEV_FB_FREE", "Framebuffer memory free (in MiB).",
         lambda g: _scaled(g.memory_free_bytes, _MIB)),
    Name("DCGM_FI_DEV_MEM_COPY_UTIL", "Memory utilization (in %).",
         lambda g: _scaled(g.memory_utilization, 0.01)),
    Name("DCGM_FI_DEV_GPU_TEMP", "GPU temperature (in C).", lambda g: g.temperature_celsius),
    Name("DCGM_FI_DEV_POWER_USAGE", "Power draw (in W).", lambda g: g.power_watts),
    Name("DCGM_FI_DEV_SM_CLOCK", "SM clock frequency (in MHz).",
         lambda g: _scaled(g.sm_clock_hertz, _MEGA)),
    Name("DCGM_FI_DEV_MEM_CLOCK", "Memory clock frequency (in MHz).",
         lambda g: _scaled(g.memory_clock_hertz, _MEGA)),
    Name("DCGM_FI_DEV_XID_ERRORS", "Value of the last XID error encountered.",
         lambda g: g.last_xid),
)  # fmt: skip


Sample = tuple[tuple[str, ...], float]
"""Values of all labels, and the value."""


def families(snapshot: Snapshot) -> Iterator[tuple[str, str, list[Sample]]]:
    """Name, help and samples of each."""
    devices = {gpu.uuid: _device(gpu, snapshot) for gpu in snapshot.gpus}
    for name in NAMES:
        yield (
            name.name,
            name.meaning,
            [*_of_gpus(name, snapshot, devices), *_of_pods(name, snapshot, devices)],
        )


def _of_gpus(name: Name, snapshot: Snapshot, devices: Devices) -> Iterator[Sample]:
    for gpu in snapshot.gpus:
        value = name.gpu(gpu)
        if value is not None:
            yield (*devices[gpu.uuid], "", "", ""), value


def _of_pods(name: Name, snapshot: Snapshot, devices: Devices) -> Iterator[Sample]:
    for client in snapshot.clients if name.client else ():
        value = name.client(client) if name.client and client.pod else None
        if value is not None and client.gpu in devices:
            pod = (client.namespace, client.pod, client.container)
            yield (*devices[client.gpu], *pod), value


def _device(gpu: GpuFigures, snapshot: Snapshot) -> tuple[str, ...]:
    """Values of `LABELS`; a bus id in the driver's long form, as dcgm-exporter writes it."""
    bus = f"0000{gpu.pci_bus_id.upper()}" if gpu.pci_bus_id else ""
    return (
        str(gpu.index), gpu.uuid, bus, f"nvidia{gpu.minor}", gpu.product,
        snapshot.node or platform.node(), snapshot.driver_version,
    )  # fmt: skip
