"""What /proc tells of all processes: since when they run, their parents, users and job marks.

One look reads every process once. What it may not read it takes as not there: another user's
environment, or a process that ends meanwhile. What it could not read for want of descriptors or memory
is no answer, but an error: else every job would look ended. A process in the middle of an exec shows an empty
environment for a moment; whoever concludes from a mark's absence must look twice.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from rota.jobs.job import Process

MARK = "ROTA_JOB"
"""In the environment of every process of a job: the job's id."""

_PREFIX = MARK.encode() + b"="
_MOST = 1 << 21


@dataclass(frozen=True, slots=True)
class Seen:
    """One living process.

    Attributes:
        process: pid and start time.
        parent: pid of its parent.
        uid: its effective user; 0 for one that may not be dumped.
        mark: the job that its environment names; empty for none.
    """

    process: Process
    parent: int
    uid: int
    mark: str = ""


def look(root: Path = Path("/proc")) -> tuple[Seen, ...]:
    """Every living process that can be seen, by pid.

    Raises:
        OSError: this process has no descriptor or no memory left to look with.
    """
    pids = sorted(int(name) for name in os.listdir(root) if name.isdecimal())  # noqa: PTH208
    return tuple(_found(root, pids))


def started(pid: int) -> int | None:
    """When that process started; None if it has ended, or cannot be looked at now."""
    seen = _if_seen(pid)
    return seen.process.started if seen else None


def _if_seen(pid: int) -> Seen | None:
    try:
        return _one(Path("/proc"), pid)
    except OSError:
        return None


def _found(root: Path, pids: list[int]) -> Iterator[Seen]:
    for pid in pids:
        if seen := _one(root, pid):
            yield seen


def _one(root: Path, pid: int) -> Seen | None:
    """Read through one descriptor of its folder, so that all facts are of the same process."""
    try:
        folder = os.open(root / str(pid), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        _only_hidden(error)
        return None
    try:
        return _parse(pid, _read(folder, "stat"), os.fstat(folder).st_uid, _mark(folder))
    finally:
        os.close(folder)


def _parse(pid: int, stat: bytes, uid: int, mark: str) -> Seen | None:
    fields = stat.rpartition(b")")[2].split()
    if len(fields) < 20:
        return None
    state, threads = fields[0], int(fields[17])
    if state in (b"X", b"x") or (state == b"Z" and threads <= 1):
        return None
    return Seen(Process(pid, int(fields[19])), int(fields[1]), uid, mark)


def _mark(folder: int) -> str:
    for entry in _read(folder, "environ").split(b"\0"):
        if entry.startswith(_PREFIX):
            return entry[len(_PREFIX) :].decode(errors="replace")
    return ""


def _only_hidden(error: OSError) -> None:
    if error.errno in (errno.EMFILE, errno.ENFILE, errno.ENOMEM):
        raise error


def _read(folder: int, name: str) -> bytes:
    try:
        file = os.open(name, os.O_RDONLY | os.O_CLOEXEC, dir_fd=folder)
    except OSError as error:
        _only_hidden(error)
        return b""
    try:
        text = bytearray()
        while len(text) < _MOST and (part := os.read(file, 1 << 16)):
            text += part
        return bytes(text)
    except OSError:
        return b""
    finally:
        os.close(file)
