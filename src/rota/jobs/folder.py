"""The folder that an agent and its users meet in: nobody else may put anything there."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from rota.errors import RotaError

SOCKET = "rota.sock"
STATE = "jobs.json"
LOG = "agent.log"
LOCK = "local"
LASTING = "local/lasting"
"""There while an agent belongs here that somebody else starts again, so that no user starts one."""


def prepare(folder: Path) -> None:
    """Make the folder unless it is there: root's open to look into, a user's closed.

    Raises:
        RotaError: it cannot be made, or others may put something into it.
    """
    try:
        folder.mkdir(mode=0o755 if os.geteuid() == 0 else 0o700, parents=True, exist_ok=True)
        found = folder.lstat()
    except OSError as error:
        raise RotaError(
            f"cannot use this folder: {error.strerror}",
            where=str(folder),
            hint="name another one with --run-dir",
        ) from None
    others = found.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid() or others:
        raise RotaError(
            "this folder is not yours alone",
            where=str(folder),
            hint="set XDG_RUNTIME_DIR, or name another folder with --run-dir",
        )
