"""A kernel that keeps a real GPU busy for a given time, with neither compiler nor framework.

The kernel is PTX, which the driver compiles for whatever GPU is here. It counts instead of looking
at a clock, since clocks go on while another process has the GPU: side by side, programs then slow
each other down as real ones do. How many rounds a second takes is measured once, on short kernels
that fit into one slice of the driver's.
"""

from __future__ import annotations

import ctypes
import os
import threading
import time
import uuid
from typing import Any

from rota.gpu.cuda import checked, load

_PTX = """
.version {version}
.target {target}
.address_size 64
.visible .entry spin(.param .u64 rounds, .param .u64 sink)
{{
    .reg .pred %more;
    .reg .u32 %x;
    .reg .u64 %i, %n, %out;
    ld.param.u64 %n, [rounds];
    ld.param.u64 %out, [sink];
    cvta.to.global.u64 %out, %out;
    mov.u32 %x, %tid.x;
    mov.u64 %i, 0;
AGAIN:
    mad.lo.u32 %x, %x, 1664525, 1013904223;
    add.u64 %i, %i, 1;
    setp.lt.u64 %more, %i, %n;
    @%more bra AGAIN;
    st.global.u32 [%out], %x;
    ret;
}}
"""

_PROBE_ROUNDS = 20_000
_PROBES = 20


class SpinDevice:
    """The first CUDA device that this process sees; raises `GpuError` and nothing else."""

    def __init__(self) -> None:
        self._cuda = load()
        self._device = self._do("cuDeviceGet", 0)
        self._context = self._do("cuDevicePrimaryCtxRetain", self._device)
        self._local = threading.local()
        self._enter()
        self._kernel = self._do("cuModuleGetFunction", self._module(), b"spin")
        self._sink = int(self._do("cuMemAlloc", 256))
        self._rounds_per_second = self._measure()

    @property
    def uuid(self) -> str:
        """The UUID of the GPU, or of the MIG device that this process was given."""
        # Bindings of CUDA 12 have both calls, and only this one knows MIG devices.
        call = (
            "cuDeviceGetUuid_v2" if hasattr(self._cuda, "cuDeviceGetUuid_v2") else "cuDeviceGetUuid"
        )
        raw = bytes(self._do(call, self._device).bytes)
        given = os.environ.get("CUDA_VISIBLE_DEVICES") or os.environ.get(
            "NVIDIA_VISIBLE_DEVICES", ""
        )
        return f"{'MIG' if given.startswith('MIG-') else 'GPU'}-{uuid.UUID(bytes=raw)}"

    @property
    def product(self) -> str:
        """The name of the product."""
        name: bytes = self._do("cuDeviceGetName", 128, self._device)
        return name.split(b"\0")[0].decode()

    def malloc(self, size: int) -> int:
        """The address of that many bytes of device memory."""
        self._enter()
        return int(self._do("cuMemAlloc", size))

    def free(self, handle: int) -> None:
        """Give them back."""
        self._enter()
        self._do("cuMemFree", handle)

    def launch(self, seconds: float) -> None:
        """Queue a kernel that takes that long when nobody else has the GPU."""
        self._run(max(1, int(seconds * self._rounds_per_second)))

    def synchronize(self) -> None:
        """Wait for all that was queued."""
        self._enter()
        self._do("cuCtxSynchronize")

    def _run(self, rounds: int) -> None:
        self._enter()
        parameters = ((rounds, self._sink), (ctypes.c_uint64, ctypes.c_uint64))
        self._do("cuLaunchKernel", self._kernel, 1, 1, 1, 32, 1, 1, 0, 0, parameters, 0)

    def _measure(self) -> float:
        """Rounds a second: the best of several, as others may be on the GPU as well."""
        one, three = (
            min(self._seconds(rounds) for _ in range(_PROBES))
            for rounds in (_PROBE_ROUNDS, 3 * _PROBE_ROUNDS)
        )
        # The difference leaves out what a launch costs by itself.
        return 2 * _PROBE_ROUNDS / max(three - one, 1e-6)

    def _seconds(self, rounds: int) -> float:
        start = time.perf_counter()
        self._run(rounds)
        self.synchronize()
        return time.perf_counter() - start

    def _module(self) -> Any:
        attribute = self._cuda.CUdevice_attribute
        major = self._do(
            "cuDeviceGetAttribute",
            attribute.CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR,
            self._device,
        )
        # Turing and later take sm_75; what is older than 8.0 takes sm_50.
        version, target = ("6.3", "sm_75") if major >= 8 else ("5.0", "sm_50")
        text = _PTX.format(version=version, target=target).encode() + b"\0"
        return self._do("cuModuleLoadData", text)

    def _enter(self) -> None:
        if not getattr(self._local, "entered", False):
            self._do("cuCtxSetCurrent", self._context)
            self._local.entered = True

    def _do(self, name: str, *arguments: Any) -> Any:
        return checked(name, getattr(self._cuda, name)(*arguments))
