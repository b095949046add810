"""GPU time by process, summed from NVML's utilisation samples.

A sample says which part of the time since the last look a process was served by the SMs. What
nobody looked at is not known, so the sum starts at the first look, and one sample stands for ten
seconds at most. Whoever wants it exact looks five times a second, as often as NVML samples.
"""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

_SECOND = 1_000_000
_LONGEST = 10 * _SECOND
_LATE = _SECOND // 4
"""NVML's samples are 200 ms apart and come 20 ms late."""


@dataclass(frozen=True, slots=True)
class Sample:
    """What NVML says of one process: at `at` (µs since 1970) it had `percent` of the SMs."""

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
        last: defaultdict[int, int] = defaultdict(lambda: self._since)
        for sample in sorted(samples, key=lambda sample: sample.at):
            length = min(sample.at - last[sample.pid], _LONGEST)
            if length > 0 and 0 <= sample.percent <= 100:
                self._seconds[sample.pid] += sample.percent / 100 * length / _SECOND
                last[sample.pid] = sample.at
        self._since = max([self._since, *last.values()])
