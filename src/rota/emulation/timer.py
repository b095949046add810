"""A timer that wakes a selector to the microsecond; a selector's own timeout is whole milliseconds.

Python has timerfd from 3.13 on; until then it is reached through the C library.
"""

from __future__ import annotations

import ctypes
import os
import time

_libc = ctypes.CDLL(None, use_errno=True)
_NONBLOCK = os.O_NONBLOCK
_CLOEXEC = os.O_CLOEXEC
_ABSOLUTE = 1


class _Setting(ctypes.Structure):
    _fields_ = (
        ("interval_seconds", ctypes.c_long),
        ("interval_nanoseconds", ctypes.c_long),
        ("seconds", ctypes.c_long),
        ("nanoseconds", ctypes.c_long),
    )


class Timer:
    """A descriptor that is readable from a moment of `time.monotonic` on."""

    def __init__(self) -> None:
        self._fd: int = _libc.timerfd_create(time.CLOCK_MONOTONIC, _NONBLOCK | _CLOEXEC)
        if self._fd < 0:
            code = ctypes.get_errno()
            raise OSError(code, os.strerror(code))
        self._at: float | None = None

    def fileno(self) -> int:
        """For a selector."""
        return self._fd

    def set(self, at: float | None) -> None:
        """Fire at that moment, at once if it has passed; never, if None."""
        if at == self._at:
            return
        nanoseconds = 0 if at is None else max(1, int(at * 1e9))
        setting = _Setting(0, 0, nanoseconds // 1_000_000_000, nanoseconds % 1_000_000_000)
        _libc.timerfd_settime(self._fd, _ABSOLUTE, ctypes.byref(setting), None)
        self._at = at

    def clear(self) -> None:
        """Forget that it fired."""
        self._at = None
        try:
            os.read(self._fd, 8)
        except BlockingIOError:
            return

    def close(self) -> None:
        """Give the descriptor back."""
        os.close(self._fd)
