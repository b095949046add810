"""In which system call each thread of a process sits, read from /proc as cheaply as it goes.

The descriptors are kept and read again with pread (a few microseconds, where open, read and close
take four times as long). They hang on one descriptor of `/proc/<pid>`, so what is read is always
of the process that was meant and never of one that got its pid later.
"""

from __future__ import annotations

import enum
import errno
import os
from contextlib import suppress
from functools import lru_cache

from rota.gpu.processes import start_in
from rota.gpu.syscalls import (
    FUTEX,
    IOCTL,
    MUTEX_VALUE,
    MUTEX_WAITS,
    RDLOCK_VALUE,
    RDLOCK_WAITS,
    SHARED_WAIT,
    SHARED_WAIT_BIT,
)

KEPT = 256
"""Descriptors kept per process; threads beyond that are opened anew each time they are read."""

_LINE = 160
_GATE_OPERATIONS = frozenset(b"0x%x" % operation for operation in RDLOCK_WAITS)
_GATE_VALUE = b"0x%x" % RDLOCK_VALUE
_MUTEX_OPERATIONS = frozenset(b"0x%x" % operation for operation in MUTEX_WAITS)
_MUTEX_VALUE = b"0x%x" % MUTEX_VALUE
_FUTEX = b"%d" % FUTEX
_IOCTL = b"%d" % IOCTL
_SHARED_WAIT = b"0x%x" % SHARED_WAIT


class Doing(enum.Enum):
    """What a thread does, as far as its system call tells."""

    GONE = enum.auto()  # the thread has ended
    BUSY = enum.auto()  # on a CPU, in an ioctl, or waiting for the emulated GPU
    RDLOCK = enum.auto()  # waiting for the read side of a glibc rwlock
    MUTEX = enum.auto()  # waiting for a glibc mutex
    IDLE = enum.auto()  # anything else: asleep, or waiting for something that is no GPU


@lru_cache(maxsize=4096)
def classify(line: bytes) -> tuple[Doing, bytes]:
    """Read one line of `/proc/<pid>/task/<tid>/syscall`; with the address of the lock.

    Remembered: a thread that sleeps reads the same each time.
    """
    words = line.split(None, 4)
    if not words:
        return Doing.GONE, b""
    call = words[0]
    if call == _FUTEX and len(words) > 3:
        return _futex(words[1], words[2], words[3])
    if call == b"-1" and words[1] == b"0x0":
        return Doing.GONE, b""  # a thread that has ended and waits to be reaped
    busy = call in (b"running", b"-1", _IOCTL)
    return (Doing.BUSY if busy else Doing.IDLE), b""


def _futex(address: bytes, operation: bytes, value: bytes) -> tuple[Doing, bytes]:
    if operation in _GATE_OPERATIONS and value == _GATE_VALUE:
        return Doing.RDLOCK, address
    if operation in _MUTEX_OPERATIONS and value == _MUTEX_VALUE:
        return Doing.MUTEX, address
    if operation == _SHARED_WAIT and int(value, 16) & SHARED_WAIT_BIT:
        return Doing.BUSY, b""
    return Doing.IDLE, b""


class Threads:
    """The threads of one process, by id."""

    def __init__(self, pid: int, started: int) -> None:
        self.pid = pid
        self.denied = False
        self._kept: dict[int, int] = {}
        self._root = self._open_root(pid, started)
        self._tasks: int | None = None

    @property
    def ended(self) -> bool:
        """The process is no more, or was another's from the start."""
        return self._root is None

    @property
    def unread(self) -> bool:
        """No thread is being read: whether one can be is not known."""
        return not self._kept

    def ids(self) -> list[int]:
        """All threads now; empty when the process has ended."""
        try:
            tasks = self._open_tasks()
            return [] if tasks is None else [int(task.name) for task in os.scandir(tasks)]
        except OSError as error:
            self._failed(error)
            return []

    def count(self) -> int:
        """How many threads there are, for the price of one fstat; of an ended process, none."""
        try:
            tasks = self._open_tasks()
            found = 0 if tasks is None else os.fstat(tasks).st_nlink - 2
        except OSError as error:
            self._failed(error)
            return 0
        if found <= 0:
            self.close()
        return max(0, found)

    def doing(self, tid: int) -> tuple[Doing, bytes]:
        """What that thread does now."""
        try:
            return classify(self._read(tid))
        except OSError as error:
            if error.errno in (errno.EPERM, errno.EACCES):
                self.denied = True
            if error.errno in (errno.EMFILE, errno.ENFILE):
                return Doing.BUSY, b""
            self._forget(tid)
            return Doing.GONE, b""

    def close(self) -> None:
        """Give all descriptors back. Twice is once."""
        for tid in list(self._kept):
            self._forget(tid)
        for descriptor in (self._root, self._tasks):
            if descriptor is not None:
                os.close(descriptor)
        self._root = self._tasks = None

    def _open_tasks(self) -> int | None:
        if self._tasks is None and self._root is not None:
            flags = os.O_RDONLY | os.O_DIRECTORY
            self._tasks = os.open("task", flags, dir_fd=self._root)
        return self._tasks

    def _read(self, tid: int) -> bytes:
        kept = self._kept.get(tid)
        if kept is not None:
            return os.pread(kept, _LINE, 0)
        if self._root is None:
            return b""
        fd = os.open(f"task/{tid}/syscall", os.O_RDONLY, dir_fd=self._root)
        if len(self._kept) < KEPT:
            self._kept[tid] = fd
            return os.pread(fd, _LINE, 0)
        try:
            return os.pread(fd, _LINE, 0)
        finally:
            os.close(fd)

    def _forget(self, tid: int) -> None:
        fd = self._kept.pop(tid, None)
        if fd is not None:
            os.close(fd)

    def _failed(self, error: OSError) -> None:
        if error.errno in (errno.EPERM, errno.EACCES):
            self.denied = True
        elif error.errno in (errno.ENOENT, errno.ESRCH):
            self.close()

    def _open_root(self, pid: int, started: int) -> int | None:
        try:
            root = os.open(f"/proc/{pid}", os.O_RDONLY | os.O_DIRECTORY)
        except OSError:
            self.denied = _exists(pid)
            return None
        with suppress(OSError):
            fd = os.open("stat", os.O_RDONLY, dir_fd=root)
            try:
                if start_in(os.read(fd, 4096)) == started:
                    return root
            finally:
                os.close(fd)
        os.close(root)
        return None


def _exists(pid: int) -> bool:
    """The process lives though /proc does not show it."""
    try:
        os.kill(pid, 0)
    except PermissionError:
        return True
    except OSError:
        return False
    return True
