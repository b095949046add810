"""One agent a node: a lock on the folder that two agents would fight over.

The lock is on the plugin folder itself, and needs no file: the kubelet empties the folder when it
starts.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rota.errors import RotaError
from rota.locks import Held, lock_folder


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
        descriptor = lock_folder(folder)
    except OSError as error:
        raise RotaError(
            f"cannot use the {what}: {error.strerror}",
            where=str(folder),
            hint=f"run as root, or name another folder with {option}",
        ) from None
    except Held:
        raise Taken(
            "another agent serves this node already",
            where=str(folder),
            hint="stop it first; two agents would take each other's sockets away",
        ) from None
    try:
        yield
    finally:
        os.close(descriptor)
