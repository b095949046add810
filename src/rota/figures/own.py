"""What Rota's own processes cost, from /proc."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")


def cost(pid: int | None) -> tuple[float | None, int | None]:
    """Processor seconds and resident bytes of a process; None where it cannot be read."""
    if not pid:
        return None, None
    with suppress(OSError, ValueError, IndexError):
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / _TICKS, int(fields[21]) * _PAGE
    return None, None


def command(pid: int) -> str:
    """A process's command line, with blanks between its words; empty where it cannot be read."""
    with suppress(OSError):
        raw = Path(f"/proc/{pid}/cmdline").read_bytes()
        return raw.rstrip(b"\0").replace(b"\0", b" ").decode(errors="replace")
    return ""
