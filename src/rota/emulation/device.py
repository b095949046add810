"""One emulated device: a whole GPU, or one MIG instance. Its memory, contexts and timeline.

Pure: a clock is passed in, and nothing here knows of sockets. A session stands for one process.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from rota.emulation.timeline import Done, Timeline
from rota.errors import GpuError
from rota.model import Device

CONTEXT_BYTES = 256 * 1024**2
"""What a context costs. Real ones take 250 to 520 MiB, depending on the GPU."""

CONTEXT_SECONDS = 0.1
"""How long it takes to make one (0.09 to 0.11 s on an H200)."""


GRANULE = 2 * 1024**2
"""What memory without a context is held in multiples of."""

RELEASE_SECONDS = 0.0007 / 1024**3
"""Seconds a byte that it takes to let such memory go (0.7 ms a GiB on an H200)."""


OUT_RATE = 2.3 * 1024**3
IN_RATE = 6.8 * 1024**3
"""Bytes a second in which memory goes to the host and comes back (32 GiB on an H200)."""


class NoMemory(GpuError):
    """The device has not that much memory left."""


@dataclass(slots=True)
class Session:
    """What one process has on one device.

    Attributes:
        pid: the process.
        context: it has a context, so it is listed.
        allocations: handle → bytes.
        out: all of it is in host memory.
    """

    pid: int
    context: bool = False
    allocations: dict[int, int] = field(default_factory=dict)
    out: bool = False

    @property
    def size(self) -> int:
        """All that it has, wherever it is, its context included."""
        return sum(self.allocations.values()) + (CONTEXT_BYTES if self.context else 0)

    @property
    def memory_bytes(self) -> int:
        """What it holds of the device."""
        return 0 if self.out else self.size


class EmulatedDevice:
    """Finite memory and one engine, shared by the processes that use this device."""

    def __init__(self, device: Device, now: float) -> None:
        self.device = device
        self.timeline = Timeline(now)
        self._sessions: dict[int, Session] = {}
        self._gone: dict[int, float] = {}
        self._next_handle = 1

    @property
    def total(self) -> int:
        """Memory of the device, in bytes."""
        return self.device.memory_bytes

    @property
    def used(self) -> int:
        """Memory that contexts and allocations hold, in bytes."""
        return sum(session.memory_bytes for session in self._sessions.values())

    @property
    def free(self) -> int:
        """Memory that can still be had, in bytes."""
        return self.total - self.used

    def listed(self) -> dict[int, int]:
        """Pid → bytes, of the processes that have a context, as NVML lists them."""
        found: dict[int, int] = {}
        for session in self._sessions.values():
            if session.context and not session.out:
                found[session.pid] = found.get(session.pid, 0) + session.memory_bytes
        return found

    def accounts(self) -> dict[int, float]:
        """Pid → seconds in which the device ran its kernels, of the living and the dead."""
        found = dict(self._gone)
        for key, session in self._sessions.items():
            served = self.timeline.served(key)
            found[session.pid] = found.get(session.pid, 0.0) + served
        return found

    def make_context(self, key: int, pid: int) -> None:
        """Give the session a context; once is enough.

        Raises:
            NoMemory: there is no room for it.
        """
        session = self._session(key, pid)
        if not session.context:
            self._need(CONTEXT_BYTES)
            session.context = True

    def allocate(self, key: int, pid: int, size: int) -> int:
        """A handle to that many bytes.

        Raises:
            NoMemory: there are not as many left.
        """
        self._need(size)
        handle, self._next_handle = self._next_handle, self._next_handle + 1
        self._session(key, pid).allocations[handle] = size
        return handle

    def release(self, key: int, handle: int) -> None:
        """Give an allocation back.

        Raises:
            GpuError: the session has no such allocation.
        """
        session = self._sessions.get(key)
        if session is None or session.allocations.pop(handle, None) is None:
            raise GpuError(f"allocation {handle} is not held by this process")

    def hold(self, key: int, pid: int, sizes: Sequence[int]) -> list[int]:
        """Handles to memory without a context, for as many of the pieces as there is room for.

        Raises:
            GpuError: a piece is no multiple of the granule.
        """
        handles: list[int] = []
        for size in sizes:
            if size <= 0 or size % GRANULE:
                raise GpuError(f"{size} bytes are no multiple of {GRANULE}")
            if size > self.free:
                break
            handles.append(self.allocate(key, pid, size))
        return handles

    def let_go(self, key: int, handles: Sequence[int]) -> float:
        """Give such memory back; the seconds that it takes.

        Raises:
            GpuError: the session has no such memory.
        """
        before = self.used
        for handle in handles:
            self.release(key, handle)
        return (before - self.used) * RELEASE_SECONDS

    def page_out(self, key: int) -> float:
        """Bring all that the session holds to host memory; the seconds that it takes."""
        session = self._sessions.get(key)
        if session is None or session.out:
            return 0.0
        seconds = session.size / OUT_RATE
        session.out = True
        return seconds

    def page_in(self, key: int) -> float:
        """Bring it back; the seconds that it takes.

        Raises:
            NoMemory: there is no room for all of it.
        """
        session = self._sessions.get(key)
        if session is None or not session.out:
            return 0.0
        self._need(session.size)
        session.out = False
        return session.size / IN_RATE

    def end(self, key: int, now: float) -> list[Done]:
        """The process is gone: its memory and its queue go at once."""
        done = self.timeline.advance(now)
        session = self._sessions.pop(key, None)
        if session is not None:
            self._gone[session.pid] = self.timeline.served(key)
        return done + self.timeline.remove(key, now)

    def _session(self, key: int, pid: int) -> Session:
        if key not in self._sessions:
            self._gone.pop(pid, None)
            self._sessions[key] = Session(pid)
        return self._sessions[key]

    def _need(self, size: int) -> None:
        if size < 0 or size > self.free:
            raise NoMemory(
                f"out of memory: {size} bytes asked, {self.free} of {self.total} free",
                where=self.device.uuid,
            )
