"""A real glibc rwlock, so that an emulated process waits at its gate as a CUDA process does.

The CUDA library makes its callers take the read side of a rwlock, and closing the gate takes the
write side. A thread that waits there shows in `/proc/<pid>/task/<tid>/syscall` as a futex wait with
operation 0x189 and the expected value 3, which is how a client's demand is read from outside. Only
the real lock of the real C library leaves the same trace.
"""

from __future__ import annotations

import ctypes
import errno
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager

_libc = ctypes.CDLL(None, use_errno=True)
_SIZE = 256
_PREFER_WRITER = 2  # PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP


class _Timespec(ctypes.Structure):
    _fields_ = (("seconds", ctypes.c_long), ("nanoseconds", ctypes.c_long))


class RwLock:
    """One rwlock, writers first: a waiting writer holds newcomers back. Readers never nest."""

    def __init__(self) -> None:
        # glibc's own alignment is 8; the buffer has room to align by hand.
        self._memory = ctypes.create_string_buffer(_SIZE + 64)
        base = ctypes.addressof(self._memory)
        self._lock = ctypes.c_void_p((base + 63) & ~63)
        attributes = ctypes.create_string_buffer(_SIZE)
        _check(_libc.pthread_rwlockattr_init(attributes))
        _check(_libc.pthread_rwlockattr_setkind_np(attributes, _PREFER_WRITER))
        _check(_libc.pthread_rwlock_init(self._lock, attributes))

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Hold the read side; waits, without the GIL, as long as the write side is held."""
        _check(_libc.pthread_rwlock_rdlock(self._lock))
        try:
            yield
        finally:
            _check(_libc.pthread_rwlock_unlock(self._lock))

    def take(self, timeout: float) -> bool:
        """Take the write side from all readers; False when they did not leave in time."""
        end = time.time_ns() + int(timeout * 1e9)
        until = _Timespec(end // 1_000_000_000, end % 1_000_000_000)
        code = _libc.pthread_rwlock_timedwrlock(self._lock, ctypes.byref(until))
        if code == errno.ETIMEDOUT:
            return False
        _check(code)
        return True

    def give(self) -> None:
        """Give the write side back. Only for the thread that took it."""
        _check(_libc.pthread_rwlock_unlock(self._lock))


def _check(code: int) -> None:
    if code:
        raise OSError(code, os.strerror(code))
