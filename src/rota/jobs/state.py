"""Which jobs there are, kept in a file, so that an agent that starts anew finds them.

The file is a hint and nothing more: a job counts only if one of its processes lives, with the start
time that the file says or with the job's mark. A file of another user, of another boot, or one that
is damaged says nothing.
"""

from __future__ import annotations

import dataclasses
import json
import os
import stat
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from rota.errors import RotaError
from rota.jobs import protocol
from rota.jobs.job import Job, Process
from rota.model import Replica

VERSION = 1
_BOOT = Path("/proc/sys/kernel/random/boot_id")
_LARGEST = 1 << 26


class StateError(RotaError):
    """The file cannot be used."""


class StateFile:
    """One file, written whole each time."""

    def __init__(self, path: Path) -> None:
        """Nothing is read yet."""
        self._path = path
        self._last = b""

    def save(self, jobs: Iterable[Job]) -> None:
        """Write it, unless it says that already.

        Raises:
            OSError: it cannot be written.
        """
        text = json.dumps({"v": VERSION, "boot": _boot(), "jobs": [_plain(job) for job in jobs]})
        data = text.encode() + b"\n"
        if data == self._last:
            return
        new = self._path.with_suffix(".new")
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW
        descriptor = os.open(new, flags, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
        new.replace(self._path)
        self._last = data

    def forget(self) -> None:
        """The file was taken away: what it said last is to be written again."""
        self._last = b""

    def load(self) -> tuple[Job, ...]:
        """The jobs that there were; whether they still are must be looked at.

        Raises:
            StateError: there is a file, and it cannot be used.
        """
        try:
            descriptor = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        except FileNotFoundError:
            return ()
        except OSError as error:
            raise self._unusable(str(error.strerror)) from None
        with os.fdopen(descriptor, "rb") as file:
            found = os.fstat(descriptor)
            if found.st_uid != os.geteuid() or found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
                raise self._unusable("others may write it")
            data = file.read(_LARGEST)
        try:
            return _jobs(json.loads(data))
        except (ValueError, KeyError, TypeError, AttributeError, RotaError) as error:
            raise self._unusable(f"it is damaged: {error}") from None

    def _unusable(self, why: str) -> StateError:
        return StateError(f"the list of jobs cannot be used: {why}", where=str(self._path))


def _boot() -> str:
    try:
        return _BOOT.read_text().strip()
    except OSError:
        return ""


def _plain(job: Job) -> dict[str, Any]:
    return {
        "id": job.id,
        "wish": protocol.wish_fields(job.wish),
        "uid": job.uid,
        "user": job.user,
        "root": dataclasses.astuple(job.root),
        "replicas": [replica.id for replica in job.replicas],
        "since": job.since,
        "processes": [dataclasses.astuple(process) for process in sorted(job.processes)],
    }


def _jobs(raw: dict[str, Any]) -> tuple[Job, ...]:
    if raw["v"] != VERSION or raw["boot"] != _boot():
        return ()
    return tuple(_job(each) for each in raw["jobs"])


def _job(raw: dict[str, Any]) -> Job:
    return Job(
        id=str(raw["id"]),
        wish=protocol.read_wish(raw["wish"]),
        uid=int(raw["uid"]),
        user=str(raw["user"]),
        root=_process(raw["root"]),
        replicas=tuple(Replica.parse(str(id_)) for id_ in raw["replicas"]),
        since=float(raw["since"]),
        processes=frozenset(_process(each) for each in raw["processes"]),
    )


def _process(raw: list[Any]) -> Process:
    pid, started = raw
    return Process(int(pid), int(started))
