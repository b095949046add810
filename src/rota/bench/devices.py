"""The devices that the bench's programs work on: PTX, PyTorch, or the emulated GPU.

All programs of a run count the same kernels: how many rounds make a second is measured once, by a
program that is alone, and told to the others. A program that measured it beside others would do a
little more or less than they, which would show as a difference between ways of sharing.
"""

from __future__ import annotations

import ctypes
import importlib
import importlib.util
import time
from collections.abc import Callable
from typing import Any

from rota.errors import GpuError, UsageError
from rota.gpu.spin import SpinDevice
from rota.gpu.work import WorkDevice

PTX, TORCH, EMULATED = "ptx", "torch", "emulated"
WORKLOADS = (PTX, TORCH, EMULATED)

_THREADS = 1024
_BLOCKS = 2
_SIZE = 2048


def open_device(workload: str, rate: float) -> WorkDevice:
    """The device of that kind; `rate` is what `rate_of` said of one, or 0 to measure it.

    Raises:
        GpuError: there is no such device here.
        UsageError: PyTorch is not installed.
    """
    kinds: dict[str, Callable[[float], WorkDevice]] = {
        PTX: FullSpin,
        TORCH: TorchDevice,
        EMULATED: _emulated,
    }
    return kinds[workload](rate)


def rate_of(device: WorkDevice) -> float:
    """Rounds a second, for devices that count them; 0 for one whose kernels are lengths of time."""
    return float(getattr(device, "rate", 0.0))


def has_torch() -> bool:
    """PyTorch can be imported here; nothing is imported to find out."""
    return importlib.util.find_spec("torch") is not None


def _emulated(_: float) -> WorkDevice:
    from rota.emulation import cuda

    return cuda.init().context(0)


class FullSpin(SpinDevice):
    """The PTX kernel over the whole GPU: as many threads as it has room for at once.

    One that leaves room beside it would make MPS, which runs kernels side by side, look better
    than it is.
    """

    def __init__(self, rate: float = 0.0) -> None:
        self._rate, self._blocks = rate, 0
        super().__init__()

    @property
    def rate(self) -> float:
        """Rounds a second."""
        return self._rounds_per_second

    def _measure(self) -> float:
        return self._rate or super()._measure()

    def _run(self, rounds: int) -> None:
        self._enter()
        parameters = ((rounds, self._sink), (ctypes.c_uint64, ctypes.c_uint64))
        grid = (self._grid(), 1, 1, _THREADS, 1, 1)
        self._do("cuLaunchKernel", self._kernel, *grid, 0, 0, parameters, 0)

    def _grid(self) -> int:
        if not self._blocks:
            attribute = self._cuda.CUdevice_attribute.CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT
            self._blocks = _BLOCKS * int(self._do("cuDeviceGetAttribute", attribute, self._device))
        return self._blocks


class TorchDevice:
    """Products of matrices in bfloat16 by PyTorch, a number of them a kernel."""

    def __init__(self, rate: float = 0.0) -> None:
        if not has_torch():
            raise UsageError("PyTorch is not installed", hint="use --workload ptx")
        self._torch: Any = importlib.import_module("torch")
        if not self._torch.cuda.is_available():
            raise GpuError("PyTorch finds no GPU")
        make = {"device": "cuda", "dtype": self._torch.bfloat16}
        self._left = self._torch.randn(_SIZE, _SIZE, **make)
        self._right = self._torch.randn(_SIZE, _SIZE, **make)
        self._into = self._torch.empty_like(self._left)
        self._multiply(1)
        self.rate = rate or self._measure()

    @property
    def uuid(self) -> str:
        """As NVML names it."""
        return f"GPU-{self._torch.cuda.get_device_properties(0).uuid}"

    @property
    def product(self) -> str:
        """The name of the product."""
        return str(self._torch.cuda.get_device_name(0))

    def malloc(self, size: int) -> Any:
        """A tensor of that many bytes; GpuError when there are not as many left."""
        try:
            return self._torch.empty(size, dtype=self._torch.uint8, device="cuda")
        except self._torch.OutOfMemoryError as error:
            raise GpuError("out of GPU memory") from error

    def free(self, handle: Any) -> None:
        """The tensor goes with its last name; what the caching allocator keeps is given back."""
        del handle
        self._torch.cuda.empty_cache()

    def launch(self, seconds: float) -> None:
        """Queue as many products as take that long alone, at least one."""
        for _ in range(max(1, round(seconds * self.rate))):
            self._torch.mm(self._left, self._right, out=self._into)

    def synchronize(self) -> None:
        """Wait for all that was queued."""
        self._torch.cuda.synchronize()

    def _multiply(self, count: int) -> float:
        start = time.perf_counter()
        for _ in range(count):
            self._torch.mm(self._left, self._right, out=self._into)
        self._torch.cuda.synchronize()
        return time.perf_counter() - start

    def _measure(self) -> float:
        """Products a second, the best of several, launched as trainers launch them."""
        self._multiply(500)
        return 100 / min(self._multiply(100) for _ in range(10))
