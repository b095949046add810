"""What programs on a GPU do, told apart from which GPU they do it on.

Four kinds of program that share GPUs in practice, as loops over a tiny door. The real GPU and the
emulated one run the same loops, take the same command line (`rota.gpu.workload`,
`rota.emulation.workloads`) and say the same on standard output, one JSON object a line:
`at` (seconds of `time.monotonic`), `event`, and what belongs to it.
"""

from __future__ import annotations

import itertools
import select
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from rota.errors import GpuError

REPORT = 0.2
"""Seconds between two progress lines of a trainer."""

STEP = 256 * 1024**2
"""Bytes that a hog takes at a time."""

Say = Callable[..., None]
"""Writes one line: the event, and its fields by name."""


class WorkDevice(Protocol):
    """A GPU as far as these programs need one."""

    @property
    def uuid(self) -> str:
        """The device's UUID."""
        ...

    @property
    def product(self) -> str:
        """The name of the product."""
        ...

    def malloc(self, size: int) -> Any:
        """A handle to that many bytes; GpuError when there are not as many left."""
        ...

    def free(self, handle: Any) -> None:
        """Give them back."""
        ...

    def launch(self, seconds: float) -> None:
        """Queue a kernel that runs that long."""
        ...

    def synchronize(self) -> None:
        """Wait for all that was queued."""
        ...


@dataclass(frozen=True, slots=True)
class Options:
    """What one program was told to do; lengths of time in seconds, sizes in bytes.

    Attributes:
        seconds: how long it runs.
        memory: what it takes; for a hog, where it stops asking for more.
        kernel: how long each kernel runs.
        period: from one request to the next (server, hog).
        think: how long a notebook's author thinks between two cells.
        ahead: kernels that are queued before each synchronize; of a notebook, those of a cell.
        threads: how many threads of a trainer work at once.
        report: between two progress lines of a trainer; 0 for one after each batch.
        when: a file; a hog works until it is there before it takes memory. None: it takes at once.
    """

    seconds: float
    memory: int
    kernel: float
    period: float
    think: float
    ahead: int
    threads: int
    report: float = REPORT
    when: Path | None = None


def trainer(device: WorkDevice, options: Options, say: Say) -> None:
    """Keep the GPU busy: `ahead` kernels, a synchronize, and again, in each thread."""
    count = itertools.count(options.ahead, options.ahead)
    end = time.monotonic() + options.seconds
    report = _Every(options.report)

    def work() -> None:
        while time.monotonic() < end:
            _batch(device, options)
            kernels = next(count)
            if report.due():
                say("progress", kernels=kernels)

    helpers = [threading.Thread(target=work, daemon=True) for _ in range(options.threads - 1)]
    for helper in helpers:
        helper.start()
    work()
    for helper in helpers:
        helper.join()
    say("progress", kernels=next(count) - options.ahead)


def server(device: WorkDevice, options: Options, say: Say) -> None:
    """Answer a request every `period`, and sit in epoll until the next one comes.

    The latency of a request counts from when it was due, so that one that had to wait behind others
    says so.
    """
    due = time.monotonic()
    end = due + options.seconds
    with select.epoll() as requests:
        for number in itertools.count(1):
            if due >= end:
                return
            if (left := due - time.monotonic()) > 0:
                requests.poll(left)
            _batch(device, options)
            say("request", number=number, seconds=round(time.monotonic() - due, 6))
            due += options.period


def notebook(device: WorkDevice, options: Options, say: Say) -> None:
    """Run a cell, which queues all its work at once, then think about it."""
    end = time.monotonic() + options.seconds
    for number in itertools.count(1):
        start = time.monotonic()
        if start >= end:
            return
        _batch(device, options)
        say("cell", number=number, seconds=round(time.monotonic() - start, 6))
        time.sleep(options.think)


def hog(device: WorkDevice, options: Options, say: Say) -> None:
    """Take memory until it is refused or has enough, then sit on it."""
    end = time.monotonic() + options.seconds
    taken = 0
    while options.when and not options.when.exists() and time.monotonic() < end:
        _batch(device, options)
    while taken < options.memory:
        step = min(STEP, options.memory - taken)
        try:
            device.malloc(step)
        except GpuError as error:
            say("refused", bytes=step, memory_bytes=taken, why=error.what)
            break
        taken += step
    say("holds", memory_bytes=taken)
    while (left := end - time.monotonic()) > 0:
        time.sleep(min(left, options.period))
        _batch(device, options)


KINDS: dict[str, Callable[[WorkDevice, Options, Say], None]] = {
    "trainer": trainer,
    "server": server,
    "notebook": notebook,
    "hog": hog,
}
"""Name → loop."""


def _batch(device: WorkDevice, options: Options) -> None:
    for _ in range(options.ahead):
        device.launch(options.kernel)
    device.synchronize()


class _Every:
    """True once each so many seconds, whichever thread asks."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._next = 0.0
        self._lock = threading.Lock()

    def due(self) -> bool:
        now = time.monotonic()
        with self._lock:
            if now < self._next:
                return False
            self._next = now + self._seconds
            return True
