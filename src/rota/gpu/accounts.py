"""GPU time by process, summed from NVML's utilisation samples.

Five times a second the driver notes who is on the SMs at that moment, and how busy they were; the
answer to a look is each process's part of all that was noted since a time, which ends with the
newest note (seen on an H100, driver 580). So the sum is right for the GPU as a whole and over
minutes, and is a poll for each of several processes that take turns. What nobody looked at is not
known: the sum starts at the first look, and one look stands for ten seconds at most.
"""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

_SECOND = 1_000_000
_LONGEST = 10 * _SECOND
_LATE = _SECOND // 4
"""NVML's samples are 200 ms apart and come 20 ms late."""


@dataclass(frozen=True, slots=True)
class Sample:
    """What NVML says of one process: noted last at `at` (µs since 1970), `percent` of the SMs."""

    pid: int
    at: int
    percent: int


def alive(pid: int) -> bool:
    """Whether there is such a process on this machine."""
    return Path(f"/proc/{pid}").exists()


class Ledger:
    """Seconds of one GPU by process. Calls may come from any thread.

    Args:
        read: gives NVML's samples that are newer than a time in µs since 1970.
        lives: whether a pid still is a process; those that are not are forgotten.
    """

    def __init__(
        self, read: Callable[[int], Iterable[Sample]], lives: Callable[[int], bool] = alive
    ) -> None:
        self._read = read
        self._lives = lives
        self._since = 0
        self._seconds: defaultdict[int, float] = defaultdict(float)
        self._lock = threading.Lock()

    def look(self, now: int) -> Mapping[int, float]:
        """Take in what came since the last look; `now` in µs since 1970. Pid → seconds."""
        with self._lock:
            if self._since:
                self._add(self._read(self._since))
            self._since = max(self._since, now - _LATE)
            for pid in [pid for pid in self._seconds if not self._lives(pid)]:
                del self._seconds[pid]
            return dict(self._seconds)

    def _add(self, samples: Iterable[Sample]) -> None:
        """Each process's part of the time from the last look to the newest note of any."""
        new = [each for each in samples if each.at > self._since and 0 <= each.percent <= 100]
        if not new:
            return
        newest = max(each.at for each in new)
        length = min(newest - self._since, _LONGEST) / _SECOND
        for pid in {each.pid for each in new}:
            percent = fmean(each.percent for each in new if each.pid == pid)
            self._seconds[pid] += percent / 100 * length
        self._since = newest
