"""What the kernel says a process costs: processor time of all its threads, and its memory."""

from __future__ import annotations

import time
from contextlib import suppress
from pathlib import Path

MIB = 1 << 20

Spent = dict[str, int]
"""Thread → nanoseconds on a processor so far."""


def spent(pid: int) -> Spent:
    """Of every thread there is; a thread that ends while we look is left out."""
    found: Spent = {}
    for task in Path(f"/proc/{pid}/task").iterdir():
        with suppress(FileNotFoundError, ProcessLookupError):
            found[task.name] = int((task / "schedstat").read_text().split()[0])
    return found


def seconds(now: Spent, before: Spent | None = None) -> float:
    """Processor seconds between two looks; threads that came in between count from their start."""
    since = before or {}
    return sum(used - since.get(thread, 0) for thread, used in now.items()) / 1e9


def percent_of_a_core(pids: tuple[int, ...], length: float) -> tuple[float, ...]:
    """What each of the processes uses over `length` seconds, side by side."""
    begun, before = time.perf_counter(), [spent(pid) for pid in pids]
    time.sleep(length)
    after, took = [spent(pid) for pid in pids], time.perf_counter() - begun
    used = (seconds(now, then) for now, then in zip(after, before, strict=True))
    return tuple(100 * each / took for each in used)


def child(pid: int, word: str) -> int:
    """The child process that has this word in its command line.

    Raises:
        LookupError: there is none.
    """
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            parent = (folder / "stat").read_text().rpartition(")")[2].split()[1]
            if int(parent) == pid and word in (folder / "cmdline").read_text():
                return int(folder.name)
    raise LookupError(f"no child of the agent is called {word}")


def memory(pid: int) -> tuple[float, float]:
    """(RSS, PSS) in MB of 2^20 bytes. PSS counts a page that others map too by its part."""
    found = {}
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        name, _, value = line.partition(":")
        if name in ("Rss", "Pss"):
            found[name] = int(value.split()[0]) * 1024 / MIB
    return found["Rss"], found["Pss"]
