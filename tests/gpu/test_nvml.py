"""The real inventory, held against a stand-in for nvidia-ml-py that breaks in each known way.

The stand-in exists for these tests only. It answers as the driver does: with the errors of the
real binding, bus ids in bytes, and structures with the binding's field names.
"""

from __future__ import annotations

import itertools
import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from types import SimpleNamespace as Struct
from typing import Any

import pynvml
import pytest

from rota.errors import GpuError
from rota.gpu.deadline import DeadlineInventory
from rota.gpu.nvml import NvmlInventory
from rota.gpu.survey import profile_name
from rota.model import GpuMemory, GpuProcess, HealthEvent, Inventory

MIB = 1024**2
GONE = pynvml.NVML_ERROR_GPU_IS_LOST
NO = pynvml.NVML_ERROR_NOT_SUPPORTED
XID = pynvml.nvmlEventTypeXidCriticalError
ECC = pynvml.nvmlEventTypeDoubleBitEccError


@dataclass(eq=False)
class FakeGpu:
    """One GPU, or one MIG device of it. `faults`: function → NVML's error code."""

    uuid: str = "GPU-0"
    name: str = "NVIDIA H200"
    minor: int = 0
    mib: int = 143771
    mig: list[FakeGpu | None] | None = None
    slices: tuple[int, int] = (1, 1)
    compute: list[tuple[int, int | None]] = field(default_factory=list)
    graphics: list[tuple[int, int | None]] = field(default_factory=list)
    samples: list[tuple[int, int, int]] = field(default_factory=list)
    action: int = 0
    action_return: int = 0
    faults: dict[str, int] = field(default_factory=dict)


class FakeNvml:
    """What has the shape of nvidia-ml-py."""

    NVMLError = pynvml.NVMLError
    nvmlMemory_v2 = pynvml.nvmlMemory_v2  # noqa: N815
    nvmlEventTypeXidCriticalError = XID  # noqa: N815
    nvmlEventTypeDoubleBitEccError = ECC  # noqa: N815
    NVML_FI_DEV_GET_GPU_RECOVERY_ACTION = pynvml.NVML_FI_DEV_GET_GPU_RECOVERY_ACTION

    def __init__(self, *gpus: FakeGpu, **faults: int) -> None:
        self.gpus = gpus
        self.faults = faults
        self.events: list[Any] = []
        self.registered: list[str] = []
        self.inits = self.shutdowns = 0

    def __getattribute__(self, name: str) -> Any:
        value = super().__getattribute__(name)
        if not name.startswith("nvml") or not callable(value):
            return value
        return lambda *args, **options: self._call(name, value, args, options)

    def _call(self, name: str, function: Callable[..., Any], args: Any, options: Any) -> Any:
        faults = args[0].faults if args and isinstance(args[0], FakeGpu) else {}
        if code := self.faults.get(name) or faults.get(name) or faults.get("*"):
            raise pynvml.NVMLError(code)
        return function(*args, **options)

    def nvmlInit(self) -> None:  # noqa: N802
        self.inits += 1

    def nvmlShutdown(self) -> None:  # noqa: N802
        self.shutdowns += 1

    def nvmlDeviceGetCount(self) -> int:  # noqa: N802
        return len(self.gpus)

    def nvmlSystemGetDriverVersion(self) -> str:  # noqa: N802
        return "580.159.04"

    def nvmlSystemGetCudaDriverVersion_v2(self) -> int:  # noqa: N802
        return 13020

    def nvmlDeviceGetHandleByIndex(self, index: int) -> FakeGpu:  # noqa: N802
        if code := self.gpus[index].faults.get("nvmlDeviceGetHandleByIndex"):
            raise pynvml.NVMLError(code)
        return self.gpus[index]

    def nvmlDeviceGetHandleByUUID(self, uuid: str) -> FakeGpu:  # noqa: N802
        for gpu in self.gpus:
            if gpu.uuid == uuid:
                return gpu
        raise pynvml.NVMLError(pynvml.NVML_ERROR_NOT_FOUND)

    def nvmlDeviceGetUUID(self, gpu: FakeGpu) -> str:  # noqa: N802
        return gpu.uuid

    def nvmlDeviceGetName(self, gpu: FakeGpu) -> str:  # noqa: N802
        return gpu.name

    def nvmlDeviceGetMinorNumber(self, gpu: FakeGpu) -> int:  # noqa: N802
        return gpu.minor

    def nvmlDeviceGetCudaComputeCapability(self, gpu: FakeGpu) -> list[int]:  # noqa: N802
        return [9, 0]

    def nvmlDeviceGetPciInfo(self, gpu: FakeGpu) -> Any:  # noqa: N802
        return Struct(busId=b"00000000:C1:00.0")

    def nvmlDeviceGetMemoryInfo(self, gpu: FakeGpu, version: int | None = None) -> Any:  # noqa: N802
        if version and "v2" in gpu.faults:
            raise pynvml.NVMLError(gpu.faults["v2"])
        used = 1000 if version else 1600
        return Struct(total=gpu.mib * MIB, used=used * MIB, free=(gpu.mib - 1600) * MIB)

    def nvmlDeviceGetMigMode(self, gpu: FakeGpu) -> list[int]:  # noqa: N802
        return [int(gpu.mig is not None), 0]

    def nvmlDeviceGetMaxMigDeviceCount(self, gpu: FakeGpu) -> int:  # noqa: N802
        return 7

    def nvmlDeviceGetMigDeviceHandleByIndex(self, gpu: FakeGpu, index: int) -> FakeGpu:  # noqa: N802
        migs = gpu.mig or []
        mig = migs[index] if index < len(migs) else None
        if mig is None:
            raise pynvml.NVMLError(pynvml.NVML_ERROR_NOT_FOUND)
        return mig

    def nvmlDeviceGetAttributes(self, gpu: FakeGpu) -> Any:  # noqa: N802
        compute, whole = gpu.slices
        return Struct(
            computeInstanceSliceCount=compute, gpuInstanceSliceCount=whole, memorySizeMB=gpu.mib
        )

    def nvmlDeviceGetGpuInstanceId(self, gpu: FakeGpu) -> int:  # noqa: N802
        return 7

    def nvmlDeviceGetComputeInstanceId(self, gpu: FakeGpu) -> int:  # noqa: N802
        return 0

    def nvmlDeviceGetComputeRunningProcesses(self, gpu: FakeGpu) -> list[Any]:  # noqa: N802
        return [Struct(pid=pid, usedGpuMemory=used) for pid, used in gpu.compute]

    def nvmlDeviceGetGraphicsRunningProcesses(self, gpu: FakeGpu) -> list[Any]:  # noqa: N802
        return [Struct(pid=pid, usedGpuMemory=used) for pid, used in gpu.graphics]

    def nvmlDeviceGetUtilizationRates(self, gpu: FakeGpu) -> Any:  # noqa: N802
        return Struct(gpu=37, memory=5)

    def nvmlDeviceGetProcessUtilization(self, gpu: FakeGpu, since: int) -> list[Any]:  # noqa: N802
        found = [s for s in gpu.samples if s[1] > since]
        if not found:
            raise pynvml.NVMLError(pynvml.NVML_ERROR_NOT_FOUND)
        return [Struct(pid=pid, timeStamp=at, smUtil=sm) for pid, at, sm in found]

    def nvmlDeviceGetFieldValues(self, gpu: FakeGpu, fields: list[int]) -> list[Any]:  # noqa: N802
        assert fields == [pynvml.NVML_FI_DEV_GET_GPU_RECOVERY_ACTION]
        return [Struct(nvmlReturn=gpu.action_return, value=Struct(uiVal=gpu.action))]

    def nvmlEventSetCreate(self) -> object:  # noqa: N802
        return object()

    def nvmlEventSetFree(self, events: object) -> None:  # noqa: N802
        pass

    def nvmlDeviceGetSupportedEventTypes(self, gpu: FakeGpu) -> int:  # noqa: N802
        return 0xFF

    def nvmlDeviceRegisterEvents(self, gpu: FakeGpu, kinds: int, events: object) -> None:  # noqa: N802
        assert kinds == XID | ECC
        self.registered.append(gpu.uuid)

    def nvmlEventSetWait(self, events: object, timeout_ms: int) -> Any:  # noqa: N802
        if not self.events:
            raise pynvml.NVMLError(pynvml.NVML_ERROR_TIMEOUT)
        event = self.events.pop(0)
        if isinstance(event, int):
            raise pynvml.NVMLError(event)
        return event


def happens(gpu: FakeGpu, kind: int, data: int = 0) -> Any:
    return Struct(device=gpu, eventType=kind, eventData=data)


class Heard(list[GpuError]):
    """What the door stated."""

    def __call__(self, statement: GpuError) -> None:
        self.append(statement)


# The inventory


def test_everything_about_a_gpu_is_read() -> None:
    inventory = NvmlInventory(FakeNvml(FakeGpu(minor=3))).inventory()
    (gpu,) = inventory.gpus
    assert (gpu.uuid, gpu.index, gpu.minor, gpu.product) == ("GPU-0", 0, 3, "NVIDIA H200")
    assert gpu.memory_bytes == 143771 * MIB
    assert (gpu.compute_capability, gpu.family) == ((9, 0), "hopper")
    assert gpu.pci_bus_id == "0000:c1:00.0"
    assert (inventory.driver_version, inventory.cuda_version) == ("580.159.04", (13, 2))
    assert not inventory.emulated
    assert not gpu.mig_enabled


def test_the_real_bindings_structures_are_read_alike() -> None:
    nvml = FakeNvml(FakeGpu())
    info = pynvml.nvmlPciInfo_t(busId=b"00000000:0A:00.0")
    nvml.nvmlDeviceGetPciInfo = lambda gpu: info  # type: ignore[method-assign]
    values = (pynvml.c_nvmlFieldValue_t * 1)()
    values[0].value.uiVal = pynvml.NVML_GPU_RECOVERY_ACTION_GPU_RESET
    nvml.nvmlDeviceGetFieldValues = lambda gpu, fields: values  # type: ignore[method-assign]
    door = NvmlInventory(nvml)
    assert door.inventory().gpus[0].pci_bus_id == "0000:0a:00.0"
    assert door.needs_recovery("GPU-0") == "reset"


def test_mig_devices_are_read_with_nvidias_profile_names() -> None:
    migs: list[FakeGpu | None] = [
        FakeGpu("MIG-a", "NVIDIA A100-SXM4-80GB MIG 1g.10gb+me", mib=9728),
        None,
        FakeGpu("MIG-b", "NVIDIA A100-SXM4-80GB MIG 3g.40gb", mib=40192),
    ]
    (gpu,) = NvmlInventory(FakeNvml(FakeGpu(mib=81920, mig=migs))).inventory().gpus
    assert gpu.mig_enabled
    assert [(m.uuid, m.index, m.profile) for m in gpu.mig_devices] == [
        ("MIG-a", 0, "1g.10gb+me"),
        ("MIG-b", 2, "3g.40gb"),
    ]
    assert gpu.mig_devices[0].memory_bytes == 9728 * MIB
    assert gpu.mig_devices[0].gpu_instance == 7


def test_a_mig_device_without_a_name_gets_it_from_its_parts() -> None:
    mig = FakeGpu("MIG-a", mib=40192, slices=(1, 3), faults={"nvmlDeviceGetName": NO})
    (gpu,) = NvmlInventory(FakeNvml(FakeGpu(mib=81920, mig=[mig]))).inventory().gpus
    assert gpu.mig_devices[0].profile == "1c.3g.40gb"


@pytest.mark.parametrize(
    ("slices", "mib", "total", "name"),
    [
        ((1, 1), 9728, 81920, "1g.10gb"),
        ((2, 2), 19968, 81920, "2g.20gb"),
        ((3, 3), 40192, 81920, "3g.40gb"),
        ((7, 7), 80896, 81920, "7g.80gb"),
        ((1, 1), 4864, 40960, "1g.5gb"),
        ((3, 3), 20096, 40960, "3g.20gb"),
        ((1, 1), 16384, 143771, "1g.18gb"),
    ],
)
def test_profile_names_follow_nvidias_rule(
    slices: tuple[int, int], mib: int, total: int, name: str
) -> None:
    assert profile_name(*slices, mib * MIB, total * MIB) == name


# GPUs that cannot say something


def test_what_a_gpu_does_not_support_gets_a_default_and_never_junk() -> None:
    faults = {
        "nvmlDeviceGetMinorNumber": NO,
        "nvmlDeviceGetMigMode": NO,
        "nvmlDeviceGetPciInfo": pynvml.NVML_ERROR_FUNCTION_NOT_FOUND,
        "nvmlDeviceGetCudaComputeCapability": NO,
    }
    nvml = FakeNvml(
        FakeGpu(), FakeGpu("GPU-1", faults=faults), nvmlSystemGetCudaDriverVersion_v2=NO
    )
    inventory = NvmlInventory(nvml).inventory()
    gpu = inventory.gpus[1]
    assert (gpu.minor, gpu.pci_bus_id, gpu.mig_enabled) == (1, "", False)
    assert gpu.family == "undefined"
    assert inventory.cuda_version == (0, 0)


def test_an_integrated_gpu_has_no_memory_of_its_own_and_it_is_said() -> None:
    heard = Heard()
    nvml = FakeNvml(FakeGpu(faults={"nvmlDeviceGetMemoryInfo": NO}))
    assert NvmlInventory(nvml, heard).inventory().gpus[0].memory_bytes == 0
    assert "memory is not known" in heard[0].what


def test_a_bus_id_that_cannot_be_read_is_left_empty() -> None:
    nvml = FakeNvml(FakeGpu())
    nvml.nvmlDeviceGetPciInfo = lambda gpu: Struct(busId=b"\xff\xfe:?")  # type: ignore[method-assign]
    assert NvmlInventory(nvml).inventory().gpus[0].pci_bus_id == ""


@pytest.mark.parametrize(
    "function",
    ["nvmlDeviceGetHandleByIndex", "nvmlDeviceGetUUID", "nvmlDeviceGetMemoryInfo", "*"],
)
def test_a_lost_gpu_is_left_out_with_a_statement_and_the_others_stay(function: str) -> None:
    heard = Heard()
    nvml = FakeNvml(FakeGpu(faults={function: GONE}), FakeGpu("GPU-1"))
    door = NvmlInventory(nvml, heard)
    assert [gpu.index for gpu in door.inventory().gpus] == [1]
    assert heard[0].where == "GPU 0"
    assert "left out" in heard[0].what
    assert "lost" in heard[0].what
    door.inventory()
    assert len(heard) == 1  # said once


def test_a_mig_device_that_fails_is_left_out_and_its_siblings_stay() -> None:
    heard = Heard()
    name = "NVIDIA A100-SXM4-80GB MIG 1g.10gb"
    broken = FakeGpu("MIG-a", name, faults={"*": pynvml.NVML_ERROR_UNKNOWN})
    nvml = FakeNvml(FakeGpu(mig=[broken, FakeGpu("MIG-b", name)]))
    (gpu,) = NvmlInventory(nvml, heard).inventory().gpus
    assert [mig.uuid for mig in gpu.mig_devices] == ["MIG-b"]
    assert heard[0].where == "MIG device 0:0"


def test_text_that_cannot_be_read_is_a_fault_of_that_gpu_only() -> None:
    def unreadable(gpu: FakeGpu) -> str:
        return b"\xff".decode() if gpu.uuid == "GPU-0" else gpu.name

    nvml = FakeNvml(FakeGpu(), FakeGpu("GPU-1"))
    nvml.nvmlDeviceGetName = unreadable  # type: ignore[method-assign]
    assert [gpu.uuid for gpu in NvmlInventory(nvml).inventory().gpus] == ["GPU-1"]


# Nothing there


@pytest.mark.parametrize(
    ("code", "what", "hint"),
    [
        (pynvml.NVML_ERROR_LIBRARY_NOT_FOUND, "no NVIDIA driver here", "--emulate"),
        (pynvml.NVML_ERROR_DRIVER_NOT_LOADED, "not loaded", "modprobe"),
        (pynvml.NVML_ERROR_LIB_RM_VERSION_MISMATCH, "different versions", "reboot"),
        (pynvml.NVML_ERROR_NO_PERMISSION, "not permit", "root"),
        (pynvml.NVML_ERROR_UNKNOWN, "Unknown Error", "dmesg"),
        (998, "998", "dmesg"),
    ],
)
def test_a_driver_that_does_not_start_is_one_clear_statement(
    code: int, what: str, hint: str
) -> None:
    with pytest.raises(GpuError) as caught:
        NvmlInventory(FakeNvml(nvmlInit=code)).inventory()
    assert what in caught.value.what
    assert hint in caught.value.hint
    assert caught.value.where == "NVML"


def test_a_driver_that_comes_later_is_found_by_the_next_call() -> None:
    nvml = FakeNvml(FakeGpu(), nvmlInit=pynvml.NVML_ERROR_DRIVER_NOT_LOADED)
    door = NvmlInventory(nvml)
    with pytest.raises(GpuError):
        door.inventory()
    nvml.faults.clear()
    assert len(door.inventory().gpus) == 1


def test_no_gpu_is_one_clear_statement() -> None:
    with pytest.raises(GpuError, match="finds no GPU"):
        NvmlInventory(FakeNvml()).inventory()


def test_where_every_gpu_fails_the_first_fault_is_the_error() -> None:
    with pytest.raises(GpuError, match="GPU 0: left out"):
        NvmlInventory(FakeNvml(FakeGpu(faults={"*": GONE}))).inventory()


# Figures


def test_memory_is_nvmls_newer_count_without_the_drivers_reserve() -> None:
    expected = GpuMemory(143771 * MIB, 1000 * MIB, (143771 - 1600) * MIB)
    assert NvmlInventory(FakeNvml(FakeGpu())).memory("GPU-0") == expected


@pytest.mark.parametrize(
    "code", [pynvml.NVML_ERROR_FUNCTION_NOT_FOUND, pynvml.NVML_ERROR_INVALID_ARGUMENT, NO]
)
def test_an_older_driver_gives_the_older_count(code: int) -> None:
    door = NvmlInventory(FakeNvml(FakeGpu(faults={"v2": code})))
    assert door.memory("GPU-0").used == 1600 * MIB


def test_compute_and_graphics_processes_are_one_list_and_unknown_memory_is_0() -> None:
    gpu = FakeGpu(compute=[(30, 500), (10, None), (20, 2**64 - 1)], graphics=[(30, 500), (5, 7)])
    assert NvmlInventory(FakeNvml(gpu)).processes("GPU-0") == (
        GpuProcess(5, 7),
        GpuProcess(10, 0),
        GpuProcess(20, 0),
        GpuProcess(30, 500),
    )


def test_a_gpu_without_graphics_lists_its_compute_processes() -> None:
    gpu = FakeGpu(compute=[(1, 2)], faults={"nvmlDeviceGetGraphicsRunningProcesses": NO})
    assert NvmlInventory(FakeNvml(gpu)).processes("GPU-0") == (GpuProcess(1, 2),)


def test_utilization_is_a_part_of_one() -> None:
    assert NvmlInventory(FakeNvml(FakeGpu())).utilization("GPU-0") == 0.37


def test_a_figure_that_is_not_to_be_had_is_an_error_and_not_0() -> None:
    door = NvmlInventory(FakeNvml(FakeGpu(faults={"nvmlDeviceGetUtilizationRates": NO})))
    with pytest.raises(GpuError, match="does not support"):
        door.utilization("GPU-0")


def test_an_unknown_uuid_is_an_error() -> None:
    with pytest.raises(GpuError, match="GPU-9"):
        NvmlInventory(FakeNvml(FakeGpu())).memory("GPU-9")


def test_gpu_time_by_process_grows_from_the_first_look_on() -> None:
    gpu = FakeGpu()
    door = NvmlInventory(FakeNvml(gpu))
    assert door.accounts("GPU-0") == {}
    pid, now = os.getpid(), time.time_ns() // 1000
    gpu.samples = [(pid, now + 1_000_000, 50)]
    seconds = door.accounts("GPU-0")[pid]
    assert seconds > 0.5
    assert door.accounts("GPU-0")[pid] == seconds


def test_a_gpu_that_knows_no_time_by_process_accounts_for_none() -> None:
    door = NvmlInventory(FakeNvml(FakeGpu(faults={"nvmlDeviceGetProcessUtilization": NO})))
    assert door.accounts("GPU-0") == {}
    assert door.accounts("GPU-0") == {}


@pytest.mark.parametrize(
    ("action", "word"),
    [(0, ""), (1, "reset"), (2, "reboot"), (4, "drain-and-reset"), (99, "action 99")],
)
def test_the_recovery_action_in_words(action: int, word: str) -> None:
    assert NvmlInventory(FakeNvml(FakeGpu(action=action))).needs_recovery("GPU-0") == word


@pytest.mark.parametrize(
    "gpu",
    [FakeGpu(action=1, action_return=NO), FakeGpu(faults={"nvmlDeviceGetFieldValues": NO})],
)
def test_a_driver_that_knows_no_recovery_action_asks_for_none(gpu: FakeGpu) -> None:
    assert NvmlInventory(FakeNvml(gpu)).needs_recovery("GPU-0") == ""


# Events


def test_an_xid_and_an_ecc_error_come_out_as_events() -> None:
    gpu = FakeGpu()
    nvml = FakeNvml(gpu)
    nvml.events = [happens(gpu, XID, 79), happens(gpu, ECC)]
    door = NvmlInventory(nvml)
    assert door.wait_event(0) == HealthEvent("GPU-0", 79, "Xid 79")
    ecc = door.wait_event(0)
    assert ecc is not None
    assert (ecc.gpu, ecc.xid) == ("GPU-0", 0)
    assert "double-bit" in ecc.detail
    assert door.wait_event(0) is None


def test_an_event_whose_gpu_cannot_say_who_it_is_concerns_all() -> None:
    nvml = FakeNvml(FakeGpu())
    nvml.events = [happens(FakeGpu(faults={"nvmlDeviceGetUUID": GONE}), XID, 79)]
    event = NvmlInventory(nvml).wait_event(0)
    assert event is not None
    assert event.gpu is None


def test_a_gpu_that_supports_no_events_is_skipped_with_a_statement() -> None:
    heard = Heard()
    old = FakeGpu("GPU-old", faults={"nvmlDeviceGetSupportedEventTypes": NO})
    nvml = FakeNvml(old, FakeGpu("GPU-new"))
    assert NvmlInventory(nvml, heard).wait_event(0) is None
    assert nvml.registered == ["GPU-new"]
    assert [statement.where for statement in heard] == ["GPU-old"]


def test_a_gpu_lost_while_waiting_is_one_event_and_the_others_are_watched_on() -> None:
    lost, other = FakeGpu(), FakeGpu("GPU-1")
    nvml = FakeNvml(lost, other)
    door = NvmlInventory(nvml)
    assert door.wait_event(0) is None
    lost.faults["*"] = GONE
    nvml.events = [GONE, happens(other, XID, 48)]
    event = door.wait_event(0)
    assert event is not None
    assert event.gpu == "GPU-0"
    assert "lost" in event.detail
    assert door.wait_event(0) == HealthEvent("GPU-1", 48, "Xid 48")
    assert nvml.registered == ["GPU-0", "GPU-1", "GPU-1"]


def test_a_wait_that_fails_otherwise_is_an_error() -> None:
    nvml = FakeNvml(FakeGpu())
    nvml.events = [pynvml.NVML_ERROR_UNKNOWN]
    with pytest.raises(GpuError, match="Unknown Error"):
        NvmlInventory(nvml).wait_event(0)


def test_closing_ends_a_wait() -> None:
    nvml = FakeNvml(FakeGpu())
    waiting = threading.Event()

    def wait(events: object, timeout_ms: int) -> Any:
        waiting.set()
        threading.Event().wait(timeout_ms / 1000)
        raise pynvml.NVMLError(pynvml.NVML_ERROR_TIMEOUT)

    nvml.nvmlEventSetWait = wait  # type: ignore[method-assign]
    door = NvmlInventory(nvml)
    ended: list[HealthEvent | None] = []
    waiter = threading.Thread(target=lambda: ended.append(door.wait_event(3600)), daemon=True)
    waiter.start()
    assert waiting.wait(30)
    door.close()
    waiter.join(30)
    assert ended == [None]


def test_closing_twice_shuts_nvml_down_once_and_later_calls_are_refused() -> None:
    nvml = FakeNvml(FakeGpu())
    door = NvmlInventory(nvml)
    door.inventory()
    door.close()
    door.close()
    assert (nvml.inits, nvml.shutdowns) == (1, 1)
    with pytest.raises(GpuError, match="given back"):
        door.inventory()


# A driver that hangs


class Hanging:
    """A door whose inventory answers when it is let go."""

    def __init__(self) -> None:
        self.go = threading.Event()
        self.calls = itertools.count(1)
        self.called = 0
        self.closed = False

    def inventory(self) -> Inventory:
        self.called = next(self.calls)
        self.go.wait(60)
        return Inventory(driver_version="1")

    def wait_event(self, timeout: float) -> HealthEvent | None:
        return HealthEvent("GPU-0", 79)

    def close(self) -> None:
        self.closed = True

    def __getattr__(self, name: str) -> Any:
        return lambda *_: (_ for _ in ()).throw(GpuError(name))


@pytest.fixture
def hanging() -> Any:
    door = Hanging()
    yield door
    door.go.set()


def test_a_call_that_answers_passes_through() -> None:
    door = DeadlineInventory(NvmlInventory(FakeNvml(FakeGpu())), seconds=30)
    assert len(door.inventory().gpus) == 1
    assert door.utilization("GPU-0") == 0.37
    assert door.wait_event(0) is None
    with pytest.raises(GpuError, match="GPU-9"):
        door.memory("GPU-9")
    door.close()


def test_a_hang_becomes_an_error_and_later_calls_do_not_queue_behind_it(hanging: Hanging) -> None:
    door = DeadlineInventory(hanging, seconds=0.05)
    for _ in range(5):
        with pytest.raises(GpuError, match="has not answered 'inventory'"):
            door.inventory()
    assert hanging.called <= 1


def test_events_come_while_a_query_hangs(hanging: Hanging) -> None:
    door = DeadlineInventory(hanging, seconds=0.05)
    with pytest.raises(GpuError):
        door.inventory()
    assert door.wait_event(30) == HealthEvent("GPU-0", 79)


def test_the_door_is_back_when_the_driver_is(hanging: Hanging) -> None:
    door = DeadlineInventory(hanging, seconds=0.05)
    with pytest.raises(GpuError):
        door.inventory()
    hanging.go.set()
    for _ in range(600):
        try:
            assert door.inventory().driver_version == "1"
            return
        except GpuError:
            threading.Event().wait(0.05)
    pytest.fail("the door did not come back")


def test_closing_beside_a_hang_is_no_error(hanging: Hanging) -> None:
    door = DeadlineInventory(hanging, seconds=0.05)
    with pytest.raises(GpuError):
        door.inventory()
    door.close()
    door.close()
    with pytest.raises(GpuError, match="given back"):
        door.inventory()
    hanging.go.set()
