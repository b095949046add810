"""Words of memory that the device writes when work is done, and that programs wait on.

A real GPU ends a piece of work by writing a number into memory that the program can see. Here the
engine writes it, into a page that both map, and wakes who sleeps on it. The sleep is a futex that
is shared between processes (operation 0), with bit 30 set in the expected value: nothing else
leaves that trace in `/proc`, so a thread that waits for the emulated GPU is told from one that
idles, as one that spins or sits in an ioctl is told from it on a real GPU. No core is burnt.
"""

from __future__ import annotations

import ctypes
import mmap
import os

from rota.gpu.syscalls import FUTEX, SHARED_WAIT_BIT

_libc = ctypes.CDLL(None, use_errno=True)
_WAIT, _WAKE = 0, 1
_STRIDE = 64
_EVERYBODY = 0x7FFFFFFF
_NUMBERS = SHARED_WAIT_BIT - 1

SLOTS = mmap.PAGESIZE // _STRIDE
"""How many devices one process can use."""


class _Timespec(ctypes.Structure):
    _fields_ = (("seconds", ctypes.c_long), ("nanoseconds", ctypes.c_long))


class Fences:
    """The page: for each slot the number of the last piece of work that was done.

    Numbers start at 0 and may be compared modulo 2**30.
    """

    def __init__(self, fd: int) -> None:
        self._page = mmap.mmap(fd, mmap.PAGESIZE)
        self._words = [
            ctypes.c_uint32.from_buffer(self._page, slot * _STRIDE) for slot in range(SLOTS)
        ]

    def done(self, slot: int) -> int:
        """The last number that was written, modulo 2**30."""
        return self._words[slot].value & _NUMBERS

    def reached(self, slot: int, number: int) -> bool:
        """All work up to this number is done."""
        return (self.done(slot) - number) & _NUMBERS < SHARED_WAIT_BIT // 2

    def write(self, slot: int, number: int) -> None:
        """Say that all work up to this number is done, and wake who waits for it."""
        word = self._words[slot]
        word.value = SHARED_WAIT_BIT | (number & _NUMBERS)
        _libc.syscall(FUTEX, ctypes.byref(word), _WAKE, _EVERYBODY, None, None, 0)

    def wait(self, slot: int, number: int, timeout: float) -> bool:
        """Sleep until that number is reached; False when `timeout` seconds passed without.

        May return False early: ask again as often as there is patience.
        """
        word = self._words[slot]
        seen = word.value
        if self.reached(slot, number):
            return True
        whole = int(timeout)
        span = _Timespec(whole, int((timeout - whole) * 1e9))
        _libc.syscall(FUTEX, ctypes.byref(word), _WAIT, seen, ctypes.byref(span), None, 0)
        return self.reached(slot, number)


def create() -> int:
    """The descriptor of a fresh page, all slots at 0; the caller closes it."""
    fd = os.memfd_create("rota-fences", os.MFD_CLOEXEC)
    os.ftruncate(fd, mmap.PAGESIZE)
    for slot in range(SLOTS):
        os.pwrite(fd, SHARED_WAIT_BIT.to_bytes(4, "little"), slot * _STRIDE)
    return fd
