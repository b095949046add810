"""Who gives out a GPU of this machine: a node's agent, which goes first, or one for local jobs.

Two agents that gave out the same GPU would promise each share of it twice. A node's agent claims its
GPUs: for each it holds the lock of a file, for as long as it lives. An agent for local jobs claims
nothing; it looks, and gives way. So no user can keep a node from its GPUs: the files are root's, and
who may not open one finds its lock in /proc/locks.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Collection, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from rota.agent.lock import Taken
from rota.errors import RotaError
from rota.locks import locked

RETURN = 60.0
"""Seconds without a claim after which a GPU is given out again: a node's agent that is only started
anew finds it as it was."""

_PATIENCE = 1.0
"""Seconds for which a lock is tried: whoever only looks holds it for a moment."""

_PAUSE = 0.02


class Unclaimable(RotaError):
    """The files cannot be made: nobody will know that these GPUs are given out."""


@contextmanager
def claimed(folder: Path, gpus: Collection[str]) -> Iterator[None]:
    """Hold the claims on these GPUs, by UUID, for as long as the block runs.

    Raises:
        Taken: another node's agent holds one of them.
        Unclaimable: the folder cannot be used.
    """
    with ExitStack() as held:
        for gpu in sorted(gpus):
            held.callback(_let_go, folder / gpu, _claim(folder / gpu))
        yield


def _claim(path: Path) -> int:
    until = time.monotonic() + _PATIENCE
    while True:
        descriptor = _opened(path)
        if locked(descriptor) and _is_at(path, descriptor):
            return descriptor
        os.close(descriptor)
        if time.monotonic() > until:
            raise Taken(
                "another node's agent gives out this GPU already",
                where=path.name,
                hint="stop it first; each share would be promised twice",
            )
        time.sleep(_PAUSE)


def _opened(path: Path) -> int:
    try:
        path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        what = f"GPUs cannot be claimed: {error.strerror}"
        raise Unclaimable(what, where=str(path.parent)) from None


def _is_at(path: Path, descriptor: int) -> bool:
    """It still is the file of that name: whoever lets go of a claim takes the file away."""
    try:
        return os.path.samestat(path.stat(), os.fstat(descriptor))
    except OSError:
        return False


def _let_go(path: Path, descriptor: int) -> None:
    with suppress(OSError):
        path.unlink()
        path.parent.rmdir()  # once it is empty
    os.close(descriptor)


def is_claimed(folder: Path, gpu: str, locks: Path = Path("/proc/locks")) -> bool:
    """A node's agent gives out this GPU now."""
    path = folder / gpu
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    except OSError:
        return _is_listed(path, locks)
    try:
        return not locked(descriptor, fcntl.LOCK_SH)
    finally:
        os.close(descriptor)


class Yielding:
    """Which GPUs an agent for local jobs must leave alone.

    Args:
        folder: where they are claimed.
        gpus: UUIDs of the machine's.
        patience: seconds without a claim until one is given out again.
    """

    def __init__(self, folder: Path, gpus: Collection[str], patience: float = RETURN) -> None:
        self._folder, self._gpus, self._patience = folder, tuple(gpus), patience
        self._seen: dict[str, float] = {}

    def look(self, now: float) -> frozenset[str]:
        """Those that are claimed, or were a moment ago; `now` in monotonic seconds."""
        self._seen |= {gpu: now for gpu in self._gpus if is_claimed(self._folder, gpu)}
        self._seen = _since(self._seen, now - self._patience)
        return frozenset(self._seen)


def _since(seen: Mapping[str, float], start: float) -> dict[str, float]:
    return {gpu: when for gpu, when in seen.items() if when >= start}


def _is_listed(path: Path, locks: Path) -> bool:
    """The kernel's list of locks has one on this file, for those who may not open it."""
    try:
        found = path.stat()
        lines = locks.read_text().splitlines()
    except OSError:
        return False
    device = f"{os.major(found.st_dev):02x}:{os.minor(found.st_dev):02x}"
    return any(f" {device}:{found.st_ino} " in line and "FLOCK" in line for line in lines)
