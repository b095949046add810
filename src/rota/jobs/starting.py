"""Starts an agent for a user who has none: detached, and gone by itself when nobody needs it.

`rota run` becomes the user's command afterwards, so the agent must be nobody's child: a command that
waits for all its children would wait for it. It also inherits nothing that belongs to a job.
"""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path
from typing import NoReturn

from rota.errors import RotaError
from rota.jobs.folder import LOG, prepare
from rota.jobs.processes import MARK

UNUSED = 60.0
"""Seconds without a job and without a question after which such an agent ends."""

READY = b"ready\n"

_OF_A_JOB = (MARK, "ROTA_REPLICAS", "CUDA_VISIBLE_DEVICES", "NVIDIA_VISIBLE_DEVICES")
_LARGEST_LOG = 1 << 20
_HEAD = re.compile(r"^\S+Z \[\w+ *\] ")
"""When, and how grave: in front of each line of the agent's log."""


def start_agent(folder: Path, emulate: str, unused: float = UNUSED) -> None:
    """Start an agent in that folder and wait until it listens, or has ended.

    An agent that ended because another one was quicker is no error: whoever asks finds that one.

    Raises:
        RotaError: the folder cannot be used, or the agent said why it cannot serve.
    """
    log = _log(folder)
    size = os.fstat(log).st_size
    reader, writer = os.pipe()
    command = [sys.executable, "-P", "-m", "rota", "agent", "--local", "--run-dir", str(folder)]
    command += ["--unused", f"{unused:g}s", "--ready-fd", str(writer)]
    command += ["--emulate", emulate] if emulate else []
    try:
        _spawn(command, log, writer)
        os.close(writer)
        if not _until_ready(reader):
            _explain(folder, log, size)
    finally:
        os.close(reader)
        os.close(log)


def _log(folder: Path) -> int:
    prepare(folder)
    flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW
    try:
        log = os.open(folder / LOG, flags, 0o600)
    except OSError as error:
        raise RotaError(
            f"no agent runs, and none can be started: {error.strerror}", where=str(folder / LOG)
        ) from None
    if os.fstat(log).st_size > _LARGEST_LOG:
        os.ftruncate(log, 0)
    return log


def _spawn(command: list[str], log: int, ready: int) -> None:
    """Twice removed, so that init is its parent, in a session of its own."""
    child = os.fork()
    if child:
        os.waitpid(child, 0)
        return
    try:
        os.setsid()
        if os.fork():
            os._exit(0)
        _become(command, log, ready)
    finally:
        os._exit(127)


def _become(command: list[str], log: int, ready: int) -> NoReturn:
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.set_inheritable(ready, True)
    environ = {name: value for name, value in os.environ.items() if name not in _OF_A_JOB}
    if "CONFIG_FILE" in environ:
        environ["CONFIG_FILE"] = str(Path(environ["CONFIG_FILE"]).absolute())
    os.chdir("/")
    _close_inherited(keep=ready)
    os.execve(command[0], command, environ)


def _close_inherited(keep: int) -> None:
    """What the caller's shell left open is the caller's: a pipe held open would never end."""
    os.closerange(3, keep)
    os.closerange(keep + 1, max(keep + 1, os.sysconf("SC_OPEN_MAX")))


def _until_ready(reader: int) -> bool:
    told = b""
    while part := os.read(reader, len(READY)):
        told += part
        if told == READY:
            return True
    return False


def _explain(folder: Path, log: int, start: int) -> None:
    """Say what the agent said last, unless another one was quicker."""
    text = os.pread(log, 1 << 16, start).decode(errors="replace")
    if "another agent serves" in text:
        return
    said = [_HEAD.sub("", line).strip() for line in text.splitlines() if line.strip()]
    raise RotaError(
        f"the agent ended at once: {said[-1] if said else 'it said nothing'}",
        where=str(folder / LOG),
    )
