"""NVML called through one place, where each of its error codes becomes a sentence.

Everything above this module sees `GpuError` only. The binding is handed in, so that it can be any
version of nvidia-ml-py (a function that an older one lacks counts as not supported).
"""

from __future__ import annotations

from typing import Any, TypeVar

from rota.errors import GpuError

T = TypeVar("T")

_UNINITIALIZED, _NOT_SUPPORTED, _NO_PERMISSION, _NOT_FOUND = 1, 3, 4, 6
_DRIVER_NOT_LOADED, _TIMEOUT, _LIBRARY_NOT_FOUND, _FUNCTION_NOT_FOUND = 9, 10, 12, 13
_GPU_IS_LOST, _RESET_REQUIRED, _VERSION_MISMATCH = 15, 16, 18
_UNSUPPORTED = {_NOT_SUPPORTED, _FUNCTION_NOT_FOUND, 25}  # 25: argument version mismatch

_EXPLAINED = {
    _LIBRARY_NOT_FOUND: (
        "there is no NVIDIA driver here (libnvidia-ml.so.1 is not found)",
        "install the driver; in a container, run it with the NVIDIA runtime; without a GPU, "
        "--emulate gives one",
    ),
    _DRIVER_NOT_LOADED: (
        "the NVIDIA kernel driver is not loaded",
        "load it with 'modprobe nvidia'; dmesg tells why it does not load",
    ),
    _VERSION_MISMATCH: (
        "the NVIDIA driver in the kernel and its library are of different versions",
        "after an update of the driver: load the new kernel module, or reboot",
    ),
    _NO_PERMISSION: ("the NVIDIA driver does not permit this", "run as root"),
    _GPU_IS_LOST: (
        "the GPU is lost: it has fallen off the bus",
        "reboot the machine; if it comes back, look at power, cooling and seating of the card",
    ),
    _RESET_REQUIRED: ("the GPU wants a reset", "end its programs, then 'nvidia-smi --gpu-reset'"),
    _UNINITIALIZED: ("NVML is not initialised", ""),
    _NOT_SUPPORTED: ("the driver does not support this on this GPU", ""),
}


class NvmlFault(GpuError):
    """NVML answered with an error.

    Attributes:
        code: NVML's number of it; 0 where the answer was no NVML error but could not be read.
    """

    def __init__(self, what: str, *, where: str = "", hint: str = "", code: int = 0) -> None:
        super().__init__(what, where=where, hint=hint)
        self.code = code

    @property
    def unsupported(self) -> bool:
        """This GPU, driver or binding cannot answer, now or later."""
        return self.code in _UNSUPPORTED

    @property
    def lost(self) -> bool:
        """The GPU has fallen off the bus."""
        return self.code == _GPU_IS_LOST

    @property
    def timeout(self) -> bool:
        """Nothing came in time."""
        return self.code == _TIMEOUT

    @property
    def not_found(self) -> bool:
        """There is nothing at that place."""
        return self.code == _NOT_FOUND


class Binding:
    """nvidia-ml-py (or what has its shape), with our errors.

    Args:
        nvml: the module.
    """

    def __init__(self, nvml: Any) -> None:
        self.nvml = nvml

    def ask(self, where: str, name: str, *args: Any, **options: Any) -> Any:
        """Call NVML's function `name`; `where` is what an error is said to be about.

        Raises:
            NvmlFault: in all cases of failure.
        """
        function = getattr(self.nvml, name, None)
        if function is None:
            raise _fault(_FUNCTION_NOT_FOUND, "Function Not Found", where, name)
        try:
            return function(*args, **options)
        except self.nvml.NVMLError as error:
            raise _fault(error.value, str(error), where, name) from error
        except (UnicodeDecodeError, OSError) as error:
            raise NvmlFault(f"{name} gave what cannot be read: {error}", where=where) from error

    def ask_or(self, default: T, where: str, name: str, *args: Any, **options: Any) -> Any | T:
        """As `ask`; `default` where this GPU, driver or binding cannot answer."""
        try:
            return self.ask(where, name, *args, **options)
        except NvmlFault as fault:
            if fault.unsupported:
                return default
            raise

    def constant(self, name: str) -> Any | None:
        """A constant of the binding; None where this version does not have it."""
        return getattr(self.nvml, name, None)


def _fault(code: int, text: str, where: str, name: str) -> NvmlFault:
    what, hint = _EXPLAINED.get(code, (f"NVML says '{text}'", "see dmesg for lines with NVRM"))
    return NvmlFault(f"{what} [{name}]", where=where or "NVML", hint=hint, code=code)
