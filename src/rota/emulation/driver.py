"""Starting an emulated GPU, and finding one that lives already."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from socket import socket

from rota.emulation import layout, wire
from rota.errors import GpuError
from rota.model import Inventory

LINGER = 3.0
"""Seconds that an engine lives on when nobody is connected any more."""

PATIENCE = 20.0
"""Seconds that an engine may take to start on a machine that is busy."""


@dataclass(slots=True)
class Emulation:
    """An emulated GPU that is held: it lives at least as long as this does.

    Attributes:
        folder: where it lives.
        pid: the engine's process.
    """

    folder: Path
    pid: int
    _link: socket
    _child: bool = False

    @property
    def environment(self) -> Mapping[str, str]:
        """What a program's environment needs to find this GPU."""
        return {layout.VARIABLE: str(self.folder)}

    def close(self) -> None:
        """Let go of it. It ends some seconds after everybody has. Twice is once."""
        self._link.close()

    def stop(self) -> None:
        """End it now, whoever uses it, and wait until it is gone. Twice is once.

        An engine that was only attached to is let go of.
        """
        self._link.close()
        if self._child:
            self._child = False
            _end(self.pid)

    def __enter__(self) -> Emulation:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


def start(inventory: Inventory, folder: Path, linger: float = LINGER) -> Emulation:
    """Emulate that inventory in that folder, in a process of a session of its own.

    The engine ends when nobody has been connected to it for `linger` seconds.

    Raises:
        GpuError: an engine lives there already, or it did not come up.
    """
    other = _dial(folder)
    if other is not None:
        other.close()
        raise GpuError(
            "an emulated GPU lives here already", where=str(folder), hint="use another folder"
        )
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        layout.write_inventory(folder, inventory)
        pid = _spawn(folder, linger)
    except OSError as error:
        what = f"cannot put an emulated GPU here: {error.strerror}"
        raise GpuError(what, where=str(folder), hint="use another folder") from None
    try:
        link = _await(folder, pid)
    except BaseException:
        _end(pid)
        raise
    return Emulation(folder, pid, link, True)


def attach(folder: Path) -> Emulation:
    """Hold the engine that lives in that folder. `stop` then only lets go of it.

    Raises:
        GpuError: none lives there.
    """
    link = _dial(folder)
    if link is None:
        raise GpuError("no emulated GPU lives here", where=str(folder))
    pid, _ = wire.peer(link)
    return Emulation(folder, pid, link)


def _dial(folder: Path) -> socket | None:
    try:
        return wire.connect(layout.socket_path(folder), PATIENCE)
    except OSError:
        return None


def _spawn(folder: Path, linger: float) -> int:
    """The engine outlives us when others use it, so it is no Popen, which would mourn it."""
    log = str(layout.log_path(folder))
    return os.posix_spawn(
        sys.executable,
        [sys.executable, "-m", "rota.emulation.engine", str(folder), str(linger)],
        os.environ,
        file_actions=[
            (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
            (os.POSIX_SPAWN_OPEN, 1, log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600),
            (os.POSIX_SPAWN_DUP2, 1, 2),
        ],
        setsid=True,
    )


def _await(folder: Path, pid: int) -> socket:
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        ended = _reaped(pid)
        link = None if ended else _dial(folder)
        if link is not None:
            return link
        if ended:
            said = layout.log_path(folder).read_text().strip().rpartition("\n")[2]
            raise GpuError("the emulated GPU ended at once", where=str(folder), hint=said)
        time.sleep(0.01)
    raise GpuError(f"the emulated GPU did not come up in {PATIENCE:.0f} s", where=str(folder))


def _end(pid: int) -> None:
    """End a child of ours; kill it if it takes too long."""
    end = time.monotonic() + PATIENCE
    number = signal.SIGTERM
    while not _reaped(pid):
        with suppress(ProcessLookupError):
            os.kill(pid, number)
        number = signal.SIGTERM if time.monotonic() < end else signal.SIGKILL
        time.sleep(0.005)


def _reaped(pid: int) -> bool:
    try:
        return os.waitpid(pid, os.WNOHANG)[0] == pid
    except ChildProcessError:
        return True
