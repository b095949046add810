"""Which devices of a node are advertised under each MIG strategy, before they have names.

As NVIDIA's plugin does it (v0.20, internal/rm/device_map.go): `none` looks at whole GPUs only, MIG
mode or not; the others leave out a GPU in MIG mode and offer its MIG devices in its place.
"""

from __future__ import annotations

from collections.abc import Iterator

from rota.config.findings import Finding, Level, Mark
from rota.config.schema import MigStrategy
from rota.model import Device, Gpu, Inventory


def devices(inventory: Inventory, strategy: MigStrategy) -> tuple[Device, ...]:
    """What there is to advertise, in index order."""
    gpus = sorted(inventory.gpus, key=lambda gpu: gpu.index)
    return tuple(device for gpu in gpus for device in _of(gpu, strategy))


def findings(inventory: Inventory, strategy: MigStrategy, file: str) -> tuple[Finding, ...]:
    """What NVIDIA's plugin refuses about the node's MIG setup (errors), and what stays hidden."""
    if strategy == "none":
        return tuple(_hidden(inventory, file))
    return tuple(_refused(inventory, strategy, file))


def _of(gpu: Gpu, strategy: MigStrategy) -> Iterator[Device]:
    if gpu.mig_enabled and strategy != "none":
        yield from (Device(gpu, mig) for mig in gpu.mig_devices)
    else:
        yield Device(gpu)


def _hidden(inventory: Inventory, file: str) -> Iterator[Finding]:
    for gpu in inventory.gpus:
        if gpu.mig_enabled:
            yield Finding(
                "mig-hidden",
                Level.NOTE,
                Mark(file),
                f"GPU {gpu.index} is in MIG mode and is served whole, since migStrategy is 'none': "
                "a program on it gets one of its MIG devices",
                "set migStrategy to 'single' or 'mixed' to serve each MIG device",
            )


def _refused(inventory: Inventory, strategy: MigStrategy, file: str) -> Iterator[Finding]:
    empty = [gpu.index for gpu in inventory.gpus if gpu.mig_enabled and not gpu.mig_devices]
    for index in empty:
        yield Finding(
            "mig-empty",
            Level.ERROR,
            Mark(file),
            f"GPU {index} is in MIG mode but has no MIG device",
            "create MIG devices on it (nvidia-smi mig -cgi … -C), or turn its MIG mode off",
        )
    if strategy == "single":
        yield from _not_single(inventory, file)


def _not_single(inventory: Inventory, file: str) -> Iterator[Finding]:
    modes = {gpu.mig_enabled for gpu in inventory.gpus}
    if len(modes) > 1:
        plain = [str(gpu.index) for gpu in inventory.gpus if not gpu.mig_enabled]
        yield Finding(
            "mig-single-some",
            Level.ERROR,
            Mark(file),
            f"migStrategy 'single' wants all GPUs in MIG mode or none, and GPU {', '.join(plain)} "
            "is not",
            "set migStrategy to 'mixed', or set all GPUs alike",
        )
    profiles = sorted({mig.profile for gpu in inventory.gpus for mig in gpu.mig_devices})
    if len(profiles) > 1:
        yield Finding(
            "mig-single-unequal",
            Level.ERROR,
            Mark(file),
            f"migStrategy 'single' wants MIG devices of one kind, and there are "
            f"{', '.join(profiles)}",
            "set migStrategy to 'mixed', or make all MIG devices alike",
        )
