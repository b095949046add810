"""Whether a program is stopped (Ctrl-Z, SIGSTOP, a debugger): no gate call comes back then."""

from __future__ import annotations

import os


def stopped(pid: int) -> bool:
    """The process is in state T or t; false for one that is gone."""
    try:
        descriptor = os.open(f"/proc/{pid}/stat", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        text = os.read(descriptor, 512)
    except OSError:
        return False
    finally:
        os.close(descriptor)
    return text.rpartition(b")")[2].lstrip()[:1] in (b"T", b"t")
