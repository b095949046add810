"""Host memory, read in a thread when somebody is to be paged out: cgroup files may take milliseconds."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from rota.gatekeeper.host import Host

FRESH = 1.0
"""Seconds for which what was read counts."""

PAGING = "paging"
"""The level of what paging may use of the host."""


@dataclass(frozen=True, slots=True)
class Reading:
    """Host memory at one moment.

    Attributes:
        at: when it was asked for, monotonic seconds.
        free: level → bytes free, of those that have a limit.
        levels: client → the levels that its copy is charged to.
        total: memory of the host in bytes.
    """

    at: float
    free: Mapping[str, int]
    levels: Mapping[str, tuple[str, ...]]
    total: int


class Rooms:
    """Reads host memory for the loop, which never waits for it.

    Args:
        host: what is read.
        wake: called from the thread when it has been read.
    """

    def __init__(self, host: Host, wake: Callable[[], None]) -> None:
        self._host, self._wake = host, wake
        self._reading: Reading | None = None
        self._thread: threading.Thread | None = None
        self._told = True

    def now(self, pids: Mapping[str, tuple[int, ...]], now: float) -> Reading | None:
        """The last reading, if it is fresh and of all these clients; None: it is being read.

        Args:
            pids: client → its processes.
            now: monotonic seconds.
        """
        known = self._reading
        self._told = True
        if known and now - known.at < FRESH and pids.keys() <= known.levels.keys():
            return known
        if self._thread is None or not self._thread.is_alive():
            self._thread = threading.Thread(
                target=self._read, args=(dict(pids), now), name="host memory", daemon=True
            )
            self._told = False
            self._thread.start()
        return None

    @property
    def reading(self) -> bool:
        """It is being read, or was read a moment ago."""
        return self._thread is not None and (self._thread.is_alive() or not self._told)

    def forget(self) -> None:
        """What was read is no longer so: a copy was begun or has ended."""
        self._reading = None

    def _read(self, pids: Mapping[str, tuple[int, ...]], now: float) -> None:
        levels = {name: (*self._host.levels(some), PAGING) for name, some in pids.items()}
        every = dict.fromkeys(level for some in levels.values() for level in some)
        free = self._host.free(level for level in every if level != PAGING)
        self._reading = Reading(now, free, levels, self._host.total())
        self._wake()
