"""Which gates we have closed, for whoever comes after us.

One empty file for each closed gate, named `<pid>-<start time>`: made before the close, removed
after the opening. So there is nothing to parse, nothing half written, and what is found after a
crash is what may have to be opened, and nothing else: another tool may have closed gates of its own.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import NamedTuple

from rota.errors import RotaError

_NAME = re.compile(r"(\d+)-(\d+)")


class Process(NamedTuple):
    """A process that cannot be taken for another one that gets its pid later.

    Attributes:
        pid: in the pid namespace of the gatekeeper.
        started: start time in clock ticks since boot, as `rota.gpu.processes.started` tells it.
    """

    pid: int
    started: int


class JournalError(RotaError):
    """A gate that is to be closed cannot be noted: it must not be closed."""


class ProcessFolder:
    """A folder with one file for each process that it names.

    Args:
        folder: made when the first file is written.
        what: what cannot be done where it fails.
        hint: what to do then.
    """

    def __init__(self, folder: Path, what: str, hint: str) -> None:
        self._folder, self._what, self._hint = folder, what, hint

    def path(self, process: Process, prefix: str = "") -> Path:
        """The file of a process."""
        return self._folder / f"{prefix}{process.pid}-{process.started}"

    def make(self) -> None:
        """Make the folder. JournalError where it cannot be made."""
        try:
            self._folder.mkdir(mode=0o700, exist_ok=True)
        except OSError as error:
            raise self.error(error) from error

    def erase(self, process: Process) -> None:
        """Remove the file of a process. Twice is once. JournalError where it stays."""
        try:
            self.path(process).unlink(missing_ok=True)
        except OSError as error:
            raise self.error(error) from error

    def processes(self) -> list[Process]:
        """Those that have a file, in order. JournalError where that cannot be read."""
        try:
            names = [path.name for path in self._folder.iterdir()]
        except FileNotFoundError:
            return []
        except OSError as error:
            raise self.error(error) from error
        found = (_NAME.fullmatch(name) for name in names)
        return sorted(Process(int(match[1]), int(match[2])) for match in found if match)

    def error(self, error: OSError) -> JournalError:
        """The same, said for people."""
        what = f"{self._what}: {error.strerror}"
        return JournalError(what, where=str(self._folder), hint=self._hint)


class Journal:
    """The closed gates of one node, in the folder `closed` of the runtime folder."""

    def __init__(self, runtime: Path) -> None:
        hint = "make room there; until then no gate is closed"
        self._folder = ProcessFolder(runtime / "closed", "closed gates cannot be noted", hint)

    def note(self, process: Process) -> None:
        """Name a gate that is about to be closed.

        Raises:
            JournalError: it cannot be written.
        """
        flags = os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC
        try:
            os.close(os.open(self._folder.path(process), flags, 0o600))
        except FileNotFoundError:
            self._folder.make()
            self.note(process)
        except OSError as error:
            raise self._folder.error(error) from error

    def erase(self, process: Process) -> None:
        """The gate is open, or its process is no more. Twice is once."""
        self._folder.erase(process)

    def read(self) -> list[Process]:
        """The gates that may be closed."""
        return self._folder.processes()
