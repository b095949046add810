"""One agent a node: a lock on the folder that two agents would fight over.

The lock is an flock on the plugin folder itself. It needs no file (the kubelet empties the folder
when it starts), it holds across containers that mount the folder, and the kernel lets go of it
however the agent ends.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rota.errors import RotaError


class Taken(RotaError):
    """Another agent holds the folder."""


@contextmanager
def only_agent(
    folder: Path, what: str = "plugin folder", option: str = "--kubelet-dir"
) -> Iterator[None]:
    """Hold the folder for as long as the block runs; `what` and `option` are what messages name.

    Raises:
        Taken: another agent holds it.
        RotaError: there is no such folder and none can be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise RotaError(
            f"cannot use the {what}: {error.strerror}",
            where=str(folder),
            hint=f"run as root, or name another folder with {option}",
        ) from None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        raise Taken(
            "another agent serves this node already",
            where=str(folder),
            hint="stop it first; two agents would take each other's sockets away",
        ) from None
    try:
        yield
    finally:
        os.close(descriptor)
