"""Locks of the kernel, for what only one process may do: on a folder, or on an open file.

An flock on a folder needs no file in it, it holds across containers that mount the folder, and the
kernel lets go of it however its holder ends.
"""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from rota.errors import RotaError


class Held(RotaError):
    """Another process holds the lock."""


def lock_folder(folder: Path) -> int:
    """Hold a folder until the descriptor that is returned is closed.

    Raises:
        Held: another process holds it.
        OSError: it cannot be opened.
    """
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    if not locked(descriptor):
        os.close(descriptor)
        raise Held("another process holds this folder", where=str(folder))
    return descriptor


def locked(descriptor: int, kind: int = fcntl.LOCK_EX) -> bool:
    """Lock an open file without waiting: `LOCK_EX` for one alone, `LOCK_SH` beside others."""
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
