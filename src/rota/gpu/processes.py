"""Which process is meant: a pid alone may be another's tomorrow, a pid with its start time not."""

from __future__ import annotations

from pathlib import Path

_EXITING = 0x4
"""PF_EXITING of the kernel: set before a thread's descriptors close, so whoever sees a connection
to a process end because it died sees this as well."""


def started(pid: int) -> int | None:
    """When the process started, in clock ticks since boot (field 22 of /proc/<pid>/stat).

    None when there is no such process, or it is ending, or it only waits to be reaped.
    """
    stat = _read(Path(f"/proc/{pid}/stat"))
    if stat is None or (ending_in(stat) and _all_end(pid)):
        return None
    return start_in(stat)


def start_in(stat: bytes) -> int:
    """The start time in the text of a `stat` file."""
    return int(_fields(stat)[19])


def ending_in(stat: bytes) -> bool:
    """The thread that a `stat` file is of has ended, or is about to."""
    return bool(int(_fields(stat)[6]) & _EXITING)


def _all_end(pid: int) -> bool:
    """All threads end. A first thread may end before the others and leave the process alive."""
    stats = (_read(path) for path in Path(f"/proc/{pid}/task").glob("*/stat"))
    return all(stat is None or ending_in(stat) for stat in stats)


def _fields(stat: bytes) -> list[bytes]:
    """Fields from the third on; the second, the name, may hold blanks and brackets."""
    return stat.rpartition(b")")[2].split()


def _read(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return None
