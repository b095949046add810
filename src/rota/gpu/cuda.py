"""The CUDA driver library, through cuda-bindings: loading it, and its codes as exceptions."""

from __future__ import annotations

import importlib
import threading
from typing import Any

from rota.errors import GpuError


class CudaFault(GpuError):
    """The CUDA driver refused.

    Attributes:
        code: the name of its code, such as `CUDA_ERROR_NOT_READY`.
    """

    def __init__(self, call: str, code: str) -> None:
        super().__init__(f"{call}: {code}")
        self.code = code


class CudaMissing(GpuError):
    """There is no CUDA driver here, or it has not what was asked for."""


def load() -> Any:
    """`cuda.bindings.driver`, initialized. Makes no context and costs no GPU memory.

    Raises:
        CudaMissing: no bindings or no driver.
        CudaFault: the driver does not start (no GPU, for one).
    """
    try:
        driver = importlib.import_module("cuda.bindings.driver")
        result = driver.cuInit(0)
    except ImportError as error:
        raise CudaMissing(
            "cuda-bindings cannot be imported", hint="install cuda-bindings ≥ 12.8"
        ) from error
    except RuntimeError as error:
        raise CudaMissing(
            "no CUDA driver here", hint="install NVIDIA's driver, 570 or later"
        ) from error
    checked("cuInit", result)
    return driver


class LateDriver:
    """The driver, loaded when it is first needed, so that making this never fails.

    Safe for several threads.

    Args:
        driver: `cuda.bindings.driver` as `load` gives it; loaded if None.
    """

    def __init__(self, driver: Any | None = None) -> None:
        self._driver = driver
        self._loading = threading.Lock()

    def get(self) -> Any:
        """The bindings. What did not load is tried again by the next call.

        Raises:
            CudaMissing, CudaFault: as `load` does.
        """
        with self._loading:
            if self._driver is None:
                self._driver = load()
            return self._driver


def checked(call: str, result: tuple[Any, ...]) -> Any:
    """What a call of the bindings returned, without its code; None where that was all.

    Raises:
        CudaFault: the code says that it failed.
    """
    code, *values = result
    if int(code) != 0:
        raise CudaFault(call, str(getattr(code, "name", code)))
    return values[0] if len(values) == 1 else None
