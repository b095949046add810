"""What NVML says about each GPU, read so that one bad GPU spoils nothing for the others.

What every GPU must have (UUID, name) is required, and a GPU that cannot say it is left out with a
statement. What some lack (MIG, minor numbers under WSL, memory of its own on integrated GPUs) gets
a default, and never what NVML left in the buffer.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

from rota.errors import GpuError
from rota.gpu.binding import Binding, NvmlFault
from rota.model import Gpu, GpuMemory, Inventory, MigDevice

Say = Callable[[GpuError], None]
"""Takes statements about what was left out or could not be had."""

_MIB = 1024**2
_GIB = 1024**3
_INVALID_ARGUMENT = 2
_BUS_ID = re.compile(r"([0-9a-f]{4,8}):([0-9a-f]{2}:[0-9a-f]{2}\.[0-9a-f])")


def survey(binding: Binding, say: Say) -> Inventory:
    """The node as NVML sees it now.

    Raises:
        GpuError: there is no GPU, or none that answers.
    """
    count = int(binding.ask("NVML", "nvmlDeviceGetCount"))
    if count == 0:
        raise GpuError(
            "the NVIDIA driver is loaded and finds no GPU",
            where="NVML",
            hint="lspci -d 10de: shows what is plugged in, dmesg why the driver refuses it",
        )
    gpus, faults = _each(binding, count, say)
    if not gpus:
        raise faults[0]
    for fault in faults:
        say(fault)
    cuda = int(binding.ask_or(0, "NVML", "nvmlSystemGetCudaDriverVersion_v2"))
    return Inventory(
        gpus=tuple(gpus),
        driver_version=str(binding.ask_or("", "NVML", "nvmlSystemGetDriverVersion")),
        cuda_version=(cuda // 1000, cuda % 1000 // 10),
    )


def _each(binding: Binding, count: int, say: Say) -> tuple[list[Gpu], list[GpuError]]:
    gpus: list[Gpu] = []
    faults: list[GpuError] = []
    for index in range(count):
        try:
            gpus.append(_gpu(binding, index, say))
        except NvmlFault as fault:
            faults.append(_left_out(fault))
    return gpus, faults


def _left_out(fault: NvmlFault) -> GpuError:
    return NvmlFault(
        f"left out, since {fault.what}", where=fault.where, hint=fault.hint, code=fault.code
    )


def _gpu(binding: Binding, index: int, say: Say) -> Gpu:
    where = f"GPU {index}"
    handle = binding.ask(where, "nvmlDeviceGetHandleByIndex", index)
    uuid = str(binding.ask(where, "nvmlDeviceGetUUID", handle))
    capability = binding.ask_or((0, 0), where, "nvmlDeviceGetCudaComputeCapability", handle)
    mig_mode = binding.ask_or((0, 0), where, "nvmlDeviceGetMigMode", handle)
    migs = tuple(_migs(binding, handle, index, say)) if mig_mode[0] == 1 else ()
    return Gpu(
        uuid=uuid,
        index=index,
        minor=int(binding.ask_or(index, where, "nvmlDeviceGetMinorNumber", handle)),
        product=str(binding.ask(where, "nvmlDeviceGetName", handle)),
        memory_bytes=_total(binding, where, handle, say),
        compute_capability=(int(capability[0]), int(capability[1])),
        pci_bus_id=_bus_id(binding.ask_or(None, where, "nvmlDeviceGetPciInfo", handle)),
        mig_enabled=mig_mode[0] == 1,
        mig_devices=migs,
    )


def memory(binding: Binding, where: str, handle: Any) -> GpuMemory:
    """Memory of a device. Since NVML's version 2, `used` leaves out what the driver reserves.

    Raises:
        NvmlFault: also where the GPU has no memory of its own (integrated ones).
    """
    version = binding.constant("nvmlMemory_v2")
    try:
        info = binding.ask(where, "nvmlDeviceGetMemoryInfo", handle, version=version)
    except NvmlFault as fault:
        if not (fault.unsupported or fault.code == _INVALID_ARGUMENT):
            raise
        info = binding.ask(where, "nvmlDeviceGetMemoryInfo", handle)
    return GpuMemory(total=int(info.total), used=int(info.used), free=int(info.free))


def _total(binding: Binding, where: str, handle: Any, say: Say) -> int:
    try:
        return memory(binding, where, handle).total
    except NvmlFault as fault:
        if not fault.unsupported:
            raise
        say(NvmlFault("its memory is not known (an integrated GPU?)", where=where))
        return 0


def _bus_id(info: Any) -> str:
    """`0000:01:00.0` from NVML's `00000000:01:00.0`; empty where there is none."""
    raw = info.busId if info is not None else b""
    text = raw.decode("ascii", "replace") if isinstance(raw, bytes) else str(raw)
    parts = _BUS_ID.fullmatch(text.lower())
    return f"{int(parts[1], 16):04x}:{parts[2]}" if parts else ""


def _migs(binding: Binding, gpu: Any, gpu_index: int, say: Say) -> Iterator[MigDevice]:
    where = f"GPU {gpu_index}"
    for index in range(int(binding.ask_or(0, where, "nvmlDeviceGetMaxMigDeviceCount", gpu))):
        try:
            handle = binding.ask(where, "nvmlDeviceGetMigDeviceHandleByIndex", gpu, index)
            yield _mig(binding, gpu, handle, gpu_index, index)
        except NvmlFault as fault:
            if not (fault.not_found or fault.code == _INVALID_ARGUMENT):
                say(_left_out(fault))


def _mig(binding: Binding, gpu: Any, handle: Any, gpu_index: int, index: int) -> MigDevice:
    where = f"MIG device {gpu_index}:{index}"
    attributes = binding.ask_or(None, where, "nvmlDeviceGetAttributes", handle)
    size = int(attributes.memorySizeMB) * _MIB if attributes else 0
    return MigDevice(
        uuid=str(binding.ask(where, "nvmlDeviceGetUUID", handle)),
        index=index,
        profile=_profile(binding, where, gpu, handle, attributes),
        memory_bytes=size or memory(binding, where, handle).total,
        gpu_instance=int(binding.ask_or(0, where, "nvmlDeviceGetGpuInstanceId", handle)),
        compute_instance=int(binding.ask_or(0, where, "nvmlDeviceGetComputeInstanceId", handle)),
    )


def _profile(binding: Binding, where: str, gpu: Any, handle: Any, attributes: Any) -> str:
    """NVIDIA's name of the size: the end of the device's own name, else made from its parts."""
    name = str(binding.ask_or("", where, "nvmlDeviceGetName", handle))
    if named := re.search(r"\bMIG (\S+)$", name):
        return named[1]
    if attributes is None:
        raise NvmlFault("the driver does not say which MIG profile it has", where=where)
    total = memory(binding, where, gpu).total
    return profile_name(
        int(attributes.computeInstanceSliceCount),
        int(attributes.gpuInstanceSliceCount),
        int(attributes.memorySizeMB) * _MIB,
        total,
    )


def profile_name(compute_slices: int, gpu_slices: int, size: int, total: int) -> str:
    """A MIG profile's name from its parts, by NVIDIA's rule (go-nvlib, mig_profile.go).

    The memory (bytes) counts in eighths of the GPU's, rounded up, in whole GiB of the GPU.
    """
    eighths = -(-size * 8 // total)
    gigabytes = round(eighths / 8 * -(-total // _GIB))
    part = "" if compute_slices == gpu_slices else f"{compute_slices}c."
    return f"{part}{gpu_slices}g.{gigabytes}gb"
