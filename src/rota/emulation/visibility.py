"""Which devices a program sees, from its environment, as the container runtime and CUDA decide it.

`NVIDIA_VISIBLE_DEVICES` is what the container runtime puts into the container; a device plugin sets
it. `CUDA_VISIBLE_DEVICES` chooses among these, by index or by UUID. CUDA stops at the first entry
that names nothing, and so does this.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rota.model import Device, Inventory

_NOTHING = frozenset({"", "void", "none"})


def visible(inventory: Inventory, environment: Mapping[str, str]) -> tuple[Device, ...]:
    """The devices, in the order in which the program counts them."""
    injected = _injected(_all(inventory), environment.get("NVIDIA_VISIBLE_DEVICES"))
    chosen = environment.get("CUDA_VISIBLE_DEVICES")
    return injected if chosen is None else _chosen(injected, chosen)


def _all(inventory: Inventory) -> tuple[Device, ...]:
    found: list[Device] = []
    for gpu in inventory.gpus:
        found += [Device(gpu, mig) for mig in gpu.mig_devices] or [Device(gpu)]
    return tuple(found)


def _injected(devices: Sequence[Device], names: str | None) -> tuple[Device, ...]:
    if names is None or names.strip() == "all":
        return tuple(devices)
    if names.strip() in _NOTHING:
        return ()
    wanted = [name.strip() for name in names.split(",")]
    return tuple(
        device
        for device in devices
        if {device.uuid, device.index, device.gpu.uuid, str(device.gpu.index)} & set(wanted)
    )


def _chosen(devices: Sequence[Device], names: str) -> tuple[Device, ...]:
    found: list[Device] = []
    for name in names.split(","):
        device = _one(devices, name.strip())
        if device is None or device in found:
            break
        found.append(device)
    return tuple(found)


def _one(devices: Sequence[Device], name: str) -> Device | None:
    if name.isdecimal():
        return devices[int(name)] if int(name) < len(devices) else None
    if not name.startswith(("GPU-", "MIG-")):
        return None
    same = [device for device in devices if device.uuid.startswith(name)]
    return same[0] if len(same) == 1 else None
