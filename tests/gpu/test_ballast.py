"""Ballast on a driver that the test plays: what is asked of it, and what its refusals become."""

from __future__ import annotations

import uuid
from types import SimpleNamespace
from typing import Any

import pytest

from rota.errors import GpuError
from rota.gpu.ballast import CudaBallast
from rota.gpu.cuda import CudaFault

MIB = 2**20
ONE, OTHER = uuid.UUID(int=1), uuid.UUID(int=2)


class Code(int):
    """A code of the driver's."""

    name = "CUDA_ERROR_OUT_OF_MEMORY"


class Strange(int):
    name = "CUDA_ERROR_UNKNOWN"


class Driver:
    """Two GPUs, the second of which has so much room."""

    CUmemAllocationType = SimpleNamespace(CU_MEM_ALLOCATION_TYPE_PINNED=1)
    CUmemLocationType = SimpleNamespace(CU_MEM_LOCATION_TYPE_DEVICE=1)
    CUmemAllocationGranularity_flags = SimpleNamespace(CU_MEM_ALLOC_GRANULARITY_MINIMUM=0)

    def __init__(self, room: int, full: int = Code(2)) -> None:
        self.room, self.full = room, full
        self.held: dict[int, int] = {}
        self.last = 0

    def CUmemAllocationProp(self) -> Any:  # noqa: N802
        return SimpleNamespace(type=0, location=SimpleNamespace(type=0, id=-1))

    def cuDeviceGetCount(self) -> tuple[int, int]:  # noqa: N802
        return 0, 2

    def cuDeviceGet(self, number: int) -> tuple[int, int]:  # noqa: N802
        return 0, number

    def cuDeviceGetUuid(self, device: int) -> tuple[int, Any]:  # noqa: N802
        return 0, SimpleNamespace(bytes=(ONE, OTHER)[device].bytes)

    def cuMemGetAllocationGranularity(self, place: Any, kind: int) -> tuple[int, int]:  # noqa: N802
        return 0, 2 * MIB

    def cuMemCreate(self, size: int, place: Any, flags: int) -> tuple[int, int]:  # noqa: N802
        assert place.location.id == 1
        if size > self.room - sum(self.held.values()):
            return self.full, 0
        self.last += 1
        self.held[self.last] = size
        return 0, self.last

    def cuMemRelease(self, handle: int) -> tuple[int]:  # noqa: N802
        del self.held[handle]
        return (0,)


def test_pieces_are_taken_of_the_right_gpu_as_far_as_there_is_room() -> None:
    driver = Driver(room=150 * MIB)
    ballast = CudaBallast(driver)
    handles = ballast.take(f"GPU-{OTHER}", [64 * MIB] * 4)
    assert list(driver.held.values()) == [64 * MIB] * 2
    ballast.release(f"GPU-{OTHER}", handles[:1])
    assert len(driver.held) == 1
    ballast.close()
    ballast.close()
    assert driver.held == {}


def test_an_error_that_is_no_lack_of_room_gives_back_what_was_taken() -> None:
    driver = Driver(room=100 * MIB, full=Strange(999))
    with pytest.raises(CudaFault):
        CudaBallast(driver).take(f"GPU-{OTHER}", [64 * MIB] * 2)
    assert driver.held == {}


def test_a_gpu_that_cuda_does_not_show_is_said() -> None:
    with pytest.raises(GpuError, match="CUDA does not show this GPU"):
        CudaBallast(Driver(room=0)).granule(f"GPU-{uuid.UUID(int=3)}")
