"""Opening a file that a person named, and nothing that never answers."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import BinaryIO


class NoFile(ValueError):
    """It is there, and is a device, a socket, a folder or a named pipe."""


def why(error: OSError | ValueError) -> str:
    """What was wrong, in words for a message."""
    return getattr(error, "strerror", None) or str(error)


def opened(path: Path, *, pipes: bool = True) -> BinaryIO:
    """The file, the pipe of a shell's `<(…)` unless `pipes` is false, or /dev/null.

    A named pipe, a socket or a device may never answer, and whoever reads it would wait for ever, so
    these are refused; opening is what must not wait, hence O_NONBLOCK.

    Raises:
        NoFile: it is something else.
        OSError: it is not there, or cannot be opened.
        ValueError: no file can be called so.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    mode = os.fstat(descriptor).st_mode
    unnamed = pipes and stat.S_ISFIFO(mode) and not Path(os.path.realpath(path)).exists()
    if not (stat.S_ISREG(mode) or unnamed or str(path) == os.devnull):
        os.close(descriptor)
        raise NoFile("it is no regular file")
    os.set_blocking(descriptor, True)
    return open(descriptor, "rb")  # noqa: PTH123 (the caller closes it)
