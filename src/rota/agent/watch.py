"""Notices that the config changed: a file edited or replaced, or a mounted ConfigMap swapped.

A kubelet updates a mounted ConfigMap by swapping a symlink, an editor writes a new file over the old
one or into it. All of them change what `stat` says of the file behind the path. That is asked a few
times a second: it costs a few microseconds, works on every file system, and has no queue that could
overflow. A change counts once it has been still for one look, so that a half-written file, which
may well parse (an empty one does), is not served.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

PERIOD = 0.2
"""Seconds between looks. Two looks after an edit it is read: well within a second."""

Stamp = tuple[tuple[str, int, int, int], ...]


def stamp(path: Path) -> Stamp:
    """What tells one state of a file, or of all files of a folder, from the next."""
    if not path.is_dir():
        return tuple(_stamp_of(path.name, path))
    files = sorted(file for file in path.iterdir() if not file.name.startswith(".."))
    return tuple(part for file in files for part in _stamp_of(file.name, file))


def _stamp_of(name: str, path: Path) -> Stamp:
    try:
        found = path.stat()
    except OSError:
        return ()
    return ((name, found.st_ino, found.st_mtime_ns, found.st_size),)


async def watch(path: Path, changed: Callable[[], Awaitable[None]], period: float = PERIOD) -> None:
    """Call `changed` after each change of what is at `path`, for ever.

    A file that goes away is a change too: whoever reads it then says so.
    """
    served = seen = stamp(path)
    while True:
        await asyncio.sleep(period)
        now = stamp(path)
        if now == seen and now != served:
            served = now
            await changed()
        seen = now
