"""Numbers of the system calls in which threads are seen to wait, for the machine we run on."""

from __future__ import annotations

import platform

_TABLES: dict[str, dict[str, int]] = {
    "x86_64": {
        "futex": 202,
        "ioctl": 16,
        "read": 0,
        "poll": 7,
    },
    "aarch64": {
        "futex": 98,
        "ioctl": 29,
        "read": 63,
        "poll": -1,
    },
}
_TABLE = _TABLES.get(platform.machine(), _TABLES["x86_64"])

FUTEX = _TABLE["futex"]
IOCTL = _TABLE["ioctl"]

RDLOCK_WAITS = (0x189, 0x109)
"""Futex operations of glibc's `pthread_rwlock_rdlock`: a lock of one process, or a shared one."""

RDLOCK_VALUE = 3
"""What such a wait expects: write phase, and somebody waits."""

MUTEX_WAITS = (0x80, 0x0)
"""Futex operations of glibc's `pthread_mutex_lock`: a lock of one process, or a shared one."""

MUTEX_VALUE = 2
"""What such a wait expects: locked, and somebody waits."""

SHARED_WAIT = 0
"""FUTEX_WAIT between processes: how a thread waits for the emulated GPU."""

SHARED_WAIT_BIT = 1 << 30
"""Set in what that wait expects. Old C libraries join threads with the same operation, but expect
a thread id, which stays below 2**22."""
