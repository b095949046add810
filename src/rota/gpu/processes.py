"""Which process is meant: a pid alone may be another's tomorrow, a pid with its start time not."""

from __future__ import annotations

from pathlib import Path


def started(pid: int) -> int | None:
    """When the process started, in clock ticks since boot (field 22 of /proc/<pid>/stat).

    None when there is no such process, or it has ended and only waits to be reaped.
    """
    try:
        text = Path(f"/proc/{pid}/stat").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return start_in(text)


def start_in(stat: bytes) -> int | None:
    """The start time in the text of a `stat` file; None for one that has ended (state Z or X)."""
    fields = stat.rpartition(b")")[2].split()
    return None if fields[0] in (b"Z", b"X", b"x") else int(fields[19])
