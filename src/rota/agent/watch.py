"""Notices that the config changed: a file edited or replaced, or a mounted ConfigMap swapped.

A kubelet updates a mounted ConfigMap by swapping a symlink, an editor writes a new file over the old
one or into it. All of them change what `stat` says of the file behind the path, and that alone
decides: it costs a few microseconds, works on every file system, and has no queue that could
overflow. When to ask is told by inotify, at once; and since inotify does not see everything (an
edit on another machine, or behind a symlink or a bind mount), it is asked now and then besides.

A change counts once it has been still for one look, so that a half-written file, which may well
parse, is not served. A file that was emptied has to be still for longer: it parses too, and it is
what `generate > config.yaml` leaves there until the program says its first word.
"""

from __future__ import annotations

import asyncio
import errno
import os
from collections.abc import Awaitable, Callable
from pathlib import Path

from rota.kubelet.watch import FolderWatch

LOOK = 0.5
"""Seconds between looks without a sign. With what follows, an edit is served within a second."""

SETTLE = 0.1
"""Seconds for which a change must be still."""

SETTLE_EMPTY = 0.4
"""Seconds for which a file must stay empty to be taken for an empty config."""

_PASSING = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EAGAIN, errno.EINTR})

Stamp = tuple[tuple[str, int, int, int], ...]


def stamp(path: Path) -> Stamp:
    """What tells one state of a file, or of all files of a folder, from the next."""
    if not path.is_dir():
        return tuple(_stamp_of(path.name, path))
    try:
        files = sorted(file for file in path.iterdir() if not file.name.startswith(".."))
    except OSError:
        return ()
    return tuple(part for file in files for part in _stamp_of(file.name, file))


def starved(path: Path) -> bool:
    """This process can open nothing now. A config read at such a moment would be refused for good."""
    try:
        os.close(os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK))
    except OSError as error:
        return error.errno in _PASSING
    return False


def _stamp_of(name: str, path: Path) -> Stamp:
    try:
        found = path.stat()
    except OSError:
        return ()
    return ((name, found.st_ino, found.st_mtime_ns, found.st_size),)


class ConfigWatch:
    """Watches what is at `path` from the moment that this is made.

    Make it before the config is read for the first time, so that no edit falls between.

    Args:
        path: a file, or the folder of a mounted ConfigMap; it need not be there.
        settle: seconds for which a change must be still.
        settle_empty: likewise, where a file was left empty.
    """

    def __init__(
        self, path: Path, *, settle: float = SETTLE, settle_empty: float = SETTLE_EMPTY
    ) -> None:
        self._path = path
        self._settle = settle
        self._settle_empty = settle_empty
        self._served = stamp(path)

    async def follow(self, changed: Callable[[], Awaitable[None]]) -> None:
        """Call `changed` after each change, for ever.

        A file that goes away is a change too: whoever reads it then says so.
        """
        stirred = asyncio.Event()

        def look() -> None:
            if stamp(self._path) != self._served:
                stirred.set()

        folder = self._path if self._path.is_dir() else self._path.parent
        watch = FolderWatch(folder, look, writes=True, look=LOOK)
        watch.start()
        try:
            while True:
                await stirred.wait()
                stirred.clear()
                await self._compare(changed)
        finally:
            watch.close()

    async def _compare(self, changed: Callable[[], Awaitable[None]]) -> None:
        now = stamp(self._path)
        while now != self._served:
            empty = any(size == 0 for *_, size in now)
            await asyncio.sleep(self._settle_empty if empty else self._settle)
            before, now = now, stamp(self._path)
            if now == before and not starved(self._path):
                self._served = now
                await changed()
