"""A door that always answers: the driver's calls run in a thread, and a hang becomes an error.

A hung driver cannot be interrupted, only left behind. So each call is waited for, for so long and
no longer; while one hangs, the next is refused at once and never queued behind it; when the driver
comes back, so does the door. Waiting for events has a thread of its own, since it blocks by design.
The threads are daemons: a hung driver does not keep the program from ending.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from typing import Any, TypeVar

from rota.errors import GpuError
from rota.gpu.doors import InventoryDoor
from rota.gpu.vitals import Vitals, vitals_of
from rota.model import GpuMemory, GpuProcess, HealthEvent, Inventory

T = TypeVar("T")

SECONDS = 30.0
"""How long a call may take. The first one starts the driver, which takes seconds for each GPU."""


class DeadlineInventory:
    """An `InventoryDoor` around another one, whose calls take `seconds` at most.

    Args:
        door: the one that may hang.
        seconds: how long a call may take; `wait_event` may take its own timeout on top. The first
            call starts the driver, which takes seconds for each GPU without persistence mode.
    """

    def __init__(self, door: InventoryDoor, seconds: float = SECONDS) -> None:
        self._door = door
        self._seconds = seconds
        self._queries = _Lane("rota-nvml")
        self._events = _Lane("rota-nvml-events")

    def inventory(self) -> Inventory:
        """As the door's."""
        return self._query("inventory", self._door.inventory)

    def memory(self, gpu: str) -> GpuMemory:
        """As the door's."""
        return self._query("memory", lambda: self._door.memory(gpu))

    def processes(self, gpu: str) -> tuple[GpuProcess, ...]:
        """As the door's."""
        return self._query("processes", lambda: self._door.processes(gpu))

    def utilization(self, gpu: str) -> float:
        """As the door's."""
        return self._query("utilization", lambda: self._door.utilization(gpu))

    def vitals(self, gpu: str) -> Vitals:
        """As the door's; nothing, if it reads no sensors."""
        return self._query("vitals", lambda: vitals_of(self._door, gpu))

    def accounts(self, gpu: str) -> Mapping[int, float]:
        """As the door's."""
        return self._query("accounts", lambda: self._door.accounts(gpu))

    def wait_event(self, timeout: float) -> HealthEvent | None:
        """As the door's."""
        limit = timeout + self._seconds
        return self._events.run("wait_event", limit, lambda: self._door.wait_event(timeout))

    def needs_recovery(self, gpu: str) -> str:
        """As the door's."""
        return self._query("needs_recovery", lambda: self._door.needs_recovery(gpu))

    def close(self) -> None:
        """Give the driver back; a driver that hangs is left as it is, without an error."""
        try:
            self._query("close", self._door.close)
        except GpuError:
            return
        finally:
            self._queries.end()
            self._events.end()

    def _query(self, name: str, call: Callable[[], T]) -> T:
        return self._queries.run(name, self._seconds, call)


class _Lane:
    """One thread that runs calls one after the other."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._jobs: queue.SimpleQueue[tuple[Future[Any], Callable[[], Any]] | None]
        self._jobs = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()
        self._hung: tuple[Future[Any], str, float] | None = None
        self._ended = False

    def run(self, what: str, seconds: float, call: Callable[[], T]) -> T:
        """The call's answer or error; GpuError when it, or one before it, hangs."""
        if self._ended:
            raise GpuError("NVML was given back already", where="NVML")
        self._refuse_while_hung()
        future: Future[T] = Future()
        self._start()
        asked = time.monotonic()
        self._jobs.put((future, call))
        try:
            return future.result(seconds)
        except TimeoutError:
            if future.done() and not future.cancelled():
                return future.result()
            if not future.cancel():
                self._hung = (future, what, asked)
            raise _hangs(what, seconds) from None

    def end(self) -> None:
        """Let the thread end after what it is doing."""
        self._ended = True
        self._jobs.put(None)

    def _refuse_while_hung(self) -> None:
        if self._hung is None:
            return
        future, what, asked = self._hung
        if not future.done():
            raise _hangs(what, time.monotonic() - asked)
        self._hung = None

    def _start(self) -> None:
        with self._lock:
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name=self._name, daemon=True)
                self._thread.start()

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            future, call = job
            if not future.set_running_or_notify_cancel():
                continue
            try:
                future.set_result(call())
            except BaseException as error:
                future.set_exception(error)


def _hangs(what: str, seconds: float) -> GpuError:
    return GpuError(
        f"the NVIDIA driver has not answered '{what}' for {seconds:.1f} s",
        where="NVML",
        hint="see dmesg for Xid lines; if nvidia-smi hangs too, the GPU wants a reset or a reboot",
    )
