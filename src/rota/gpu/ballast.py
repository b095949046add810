"""The real side of the ballast door: physical memory by `cuMemCreate`, mapped nowhere.

It needs no CUDA context, so ballast costs no memory of its own, and whoever holds it is in none of
NVML's lists. The calls release the GIL.
"""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import Sequence
from typing import Any

from rota.errors import GpuError
from rota.gpu.cuda import CudaFault, LateDriver, checked

_FULL = "CUDA_ERROR_OUT_OF_MEMORY"


class CudaBallast:
    """Memory of the GPUs of this node. Safe for several threads.

    The driver is loaded at the first call, so making this never fails.

    Args:
        driver: `cuda.bindings.driver` as `rota.gpu.cuda.load` gives it; loaded if None.
    """

    def __init__(self, driver: Any | None = None) -> None:
        self._driver = LateDriver(driver)
        self._places: dict[str, Any] = {}
        self._held: set[int] = set()

    def granule(self, gpu: str) -> int:
        """The size of which every piece is a multiple (2 MiB)."""
        driver, place = self._place(gpu)
        kind = driver.CUmemAllocationGranularity_flags.CU_MEM_ALLOC_GRANULARITY_MINIMUM
        return int(self._call("cuMemGetAllocationGranularity", place, kind))

    def take(self, gpu: str, sizes: Sequence[int]) -> list[int]:
        """Hold pieces, as many as there is room for. GpuError where nothing can be held."""
        _, place = self._place(gpu)
        taken: list[int] = []
        try:
            for size in sizes:
                handle = self._call("cuMemCreate", size, place, 0)
                taken.append(int(handle))
        except CudaFault as fault:
            if fault.code != _FULL:
                self.release(gpu, taken)
                raise
        self._held.update(taken)
        return taken

    def release(self, gpu: str, handles: Sequence[int]) -> None:
        """Let pieces go. GpuError where the driver does not."""
        for handle in handles:
            self._held.discard(handle)
            self._call("cuMemRelease", handle)

    def close(self) -> None:
        """Let everything go. Twice is once."""
        for handle in list(self._held):
            with contextlib.suppress(GpuError):
                self.release("", (handle,))

    def _call(self, name: str, *arguments: Any) -> Any:
        return checked(name, getattr(self._driver.get(), name)(*arguments))

    def _place(self, gpu: str) -> tuple[Any, Any]:
        """The bindings, and what says which GPU's memory is meant."""
        driver = self._driver.get()
        if gpu not in self._places:
            place = driver.CUmemAllocationProp()
            place.type = driver.CUmemAllocationType.CU_MEM_ALLOCATION_TYPE_PINNED
            place.location.type = driver.CUmemLocationType.CU_MEM_LOCATION_TYPE_DEVICE
            place.location.id = self._ordinal(gpu)
            self._places[gpu] = place
        return driver, self._places[gpu]

    def _ordinal(self, gpu: str) -> int:
        """CUDA's number of the GPU: its order is not NVML's."""
        for number in range(int(self._call("cuDeviceGetCount"))):
            device = self._call("cuDeviceGet", number)
            if f"GPU-{uuid.UUID(bytes=bytes(self._call('cuDeviceGetUuid', device).bytes))}" == gpu:
                return number
        raise GpuError(
            "CUDA does not show this GPU, so none of its memory can be held",
            where=gpu,
            hint="unset CUDA_VISIBLE_DEVICES where the gatekeeper runs",
        )
