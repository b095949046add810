"""The emulated CUDA library: what a program imports in place of CUDA.

Kernels are lengths of time. `launch` queues one and returns; `synchronize` waits for all that was
queued. A program in an environment that names an emulated GPU (`ROTA_EMULATED_GPU`) sees the
devices that its environment makes visible, shares them with others and runs out of memory on them.
Every call goes through the process's gate, as every call of real CUDA does.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from rota.emulation import fence, layout
from rota.emulation.control import Control
from rota.emulation.device import NoMemory
from rota.emulation.link import EngineGone, Link
from rota.emulation.rwlock import RwLock
from rota.emulation.service import LONGEST
from rota.emulation.visibility import visible
from rota.emulation.wire import Message
from rota.errors import GpuError
from rota.model import Device

AHEAD = 1024
"""How many kernels may be queued before `launch` waits for the oldest, as with CUDA."""

INIT_SECONDS = 0.15
"""From `cuInit`, which opens the GPU's file, to the context (0.1 to 0.4 s on an H200, with it)."""

_LOOK = 0.5
_T = TypeVar("_T")


class OutOfMemory(GpuError):
    """The device has not that much memory left (CUDA_ERROR_OUT_OF_MEMORY)."""


class NoDevice(GpuError):
    """No device is visible, or not this one (CUDA_ERROR_NO_DEVICE, INVALID_DEVICE)."""


class DeviceLost(GpuError):
    """The emulated GPU is gone (CUDA_ERROR_DEVICE_UNAVAILABLE)."""


class NotInitialized(GpuError):
    """Used after a fork or after `shutdown` (CUDA_ERROR_NOT_INITIALIZED)."""


class Context:
    """This process on one device. Threads may share it; all their work goes into one queue."""

    def __init__(self, cuda: Cuda, device: Device, slot: int) -> None:
        self.device = device
        self._cuda = cuda
        self._slot = slot
        self.managed = False
        self._submitted = 0
        self._submitting = threading.Lock()

    @property
    def uuid(self) -> str:
        """The device's UUID."""
        return self.device.uuid

    @property
    def product(self) -> str:
        """The product that is emulated."""
        return self.device.gpu.product

    def malloc(self, size: int) -> int:
        """A handle to that many bytes of device memory.

        Raises:
            OutOfMemory: there are not as many free.
        """
        with self._cuda.call():
            answer = self._cuda.ask("allocate", device=self.uuid, bytes=size)
            return int(answer["handle"])

    def malloc_managed(self, size: int) -> int:
        """As `malloc`, of memory that wanders between host and device by itself."""
        handle = self.malloc(size)
        self.managed = True
        return handle

    def free(self, handle: int) -> None:
        """Give an allocation back."""
        with self._cuda.call():
            self._cuda.ask("release", device=self.uuid, handle=handle)

    def memory(self) -> tuple[int, int]:
        """(free, total) bytes of the device."""
        with self._cuda.call():
            answer = self._cuda.ask("memory", device=self.uuid)
            return int(answer["free"]), int(answer["total"])

    def launch(self, seconds: float) -> None:
        """Queue a kernel that takes the device that long. Does not wait for it."""
        if not 0 <= seconds <= LONGEST:
            raise GpuError(f"a kernel cannot take {seconds} s", hint=f"0 to {LONGEST:g} s")
        with self._cuda.call():
            with self._submitting:
                self._submitted += 1
                ticket = self._submitted
                self._cuda.tell("launch", device=self.uuid, ticket=ticket, seconds=seconds)
            if ticket > AHEAD:
                self._await(ticket - AHEAD)

    def synchronize(self) -> None:
        """Wait for all that was queued so far."""
        with self._cuda.call():
            self._await(self._submitted)

    def drained(self, deadline: float) -> bool:
        """Wait until then for all that was queued: for the gate, which holds all callers back."""
        while not self._cuda.fences.reached(self._slot, self._submitted):
            left = deadline - time.monotonic()
            if left <= 0:
                return False
            self._cuda.fences.wait(self._slot, self._submitted, min(left, _LOOK))
        return True

    def _await(self, ticket: int) -> None:
        while not self._cuda.fences.wait(self._slot, ticket, _LOOK):
            self._cuda.check_alive()


class Cuda:
    """The library in this process. Use `init`, which makes one and keeps it."""

    def __init__(self, folder: Path) -> None:
        self.devices = visible(layout.read_inventory(folder), os.environ)
        self._gate = RwLock()
        self._link: Link = _translated(lambda: Link(folder))
        descriptor = fence.create()
        try:
            self.fences = fence.Fences(descriptor)
            self.pid = int(self.ask("hello", descriptor=descriptor)["pid"])
        finally:
            os.close(descriptor)
        self._files = _opened(folder, {device.gpu.uuid for device in self.devices})
        time.sleep(INIT_SECONDS)
        self._contexts: dict[str, Context] = {}
        self._making = threading.Lock()
        self._owner = os.getpid()
        self._control = Control(
            layout.gate_path(folder, self.pid),
            self._gate,
            self._drain,
            lambda: bool(self._contexts),
            self,
        )
        os.register_at_fork(after_in_child=self._forked)

    def context(self, selector: int | str = 0) -> Context:
        """The context of this process on a visible device, by index or UUID; made once.

        Raises:
            NoDevice: no such device is visible.
            OutOfMemory: there is no room for a context.
        """
        device = self._device(selector)
        with self.call(), self._making:
            if device.uuid not in self._contexts:
                slot = int(self.ask("context", device=device.uuid)["slot"])
                self._contexts[device.uuid] = Context(self, device, slot)
            return self._contexts[device.uuid]

    @contextmanager
    def call(self) -> Iterator[None]:
        """Every call stands in this: behind the gate, and in the process that initialized."""
        if os.getpid() != self._owner:
            raise NotInitialized("CUDA does not survive a fork", hint="initialize in the child")
        with self._gate.reading():
            yield

    def ask(self, op: str, **arguments: Any) -> Message:
        """Ask the engine, with CUDA's errors for its own."""
        return _translated(lambda: self._link.ask(op, **arguments))

    def tell(self, op: str, **arguments: Any) -> None:
        """Tell the engine, with CUDA's errors for its own."""
        _translated(lambda: self._link.tell(op, **arguments))

    def check_alive(self) -> None:
        """Raise DeviceLost if the engine is gone."""
        if not self._link.alive():
            raise DeviceLost("the emulated GPU is gone")

    def out(self) -> bool:
        """Bring all memory of this process to the host, while its gate is closed.

        False, and nothing, where some of it is managed memory, which cannot be checkpointed.
        """
        if any(context.managed for context in self._contexts.values()):
            return False
        for uuid in self._contexts:
            self.ask("page-out", device=uuid)
        return True

    def back(self) -> bool:
        """Bring it back; False where there was no room, and then it is lost for good."""
        try:
            for uuid in self._contexts:
                self.ask("page-in", device=uuid)
        except OutOfMemory:
            return False
        return True

    def _device(self, selector: int | str) -> Device:
        if isinstance(selector, int) and 0 <= selector < len(self.devices):
            return self.devices[selector]
        for device in self.devices:
            if device.uuid == selector:
                return device
        raise NoDevice(
            f"no device {selector!r}: {len(self.devices)} visible",
            hint="see NVIDIA_VISIBLE_DEVICES and CUDA_VISIBLE_DEVICES",
        )

    def _drain(self, timeout: float) -> bool:
        deadline = time.monotonic() + timeout
        return all(context.drained(deadline) for context in list(self._contexts.values()))

    def _forked(self) -> None:
        self._link.close()
        self._control.forked()


_cuda: Cuda | None = None
_initializing = threading.Lock()


def init(folder: Path | None = None) -> Cuda:
    """The library, connected to the emulated GPU of that folder or of the environment; once.

    Raises:
        NoDevice: no emulated GPU is named, or none lives there.
    """
    global _cuda
    with _initializing:
        if _cuda is None:
            place = folder or layout.from_environment()
            if place is None:
                raise NoDevice("no emulated GPU", hint=f"{layout.VARIABLE} names its folder")
            _cuda = Cuda(place)
        return _cuda


def _opened(folder: Path, gpus: set[str]) -> list[int]:
    """The files of the visible GPUs, which stay open until the end of the process."""
    try:
        return [os.open(layout.device_path(folder, gpu), os.O_RDONLY) for gpu in gpus]
    except OSError as error:
        raise NoDevice("the file of an emulated GPU does not open", where=str(folder)) from error


def _translated(call: Callable[[], _T]) -> _T:
    try:
        return call()
    except NoMemory as error:
        raise OutOfMemory(error.what) from error
    except EngineGone as error:
        raise DeviceLost(error.what, where=error.where) from error
