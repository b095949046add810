"""Starting an emulated GPU, and finding one that lives already."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from socket import socket

from rota.emulation import layout, wire
from rota.errors import GpuError
from rota.model import Inventory

PATIENCE = 20.0
"""Seconds that an engine may take to start on a machine that is busy."""

_let_go: list[subprocess.Popen[bytes]] = []
"""Engines of ours that may live on: kept, so that they are children that were not forgotten."""


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
    _process: subprocess.Popen[bytes] | None = field(default=None)

    @property
    def environment(self) -> Mapping[str, str]:
        """What a program's environment needs to find this GPU."""
        return {layout.VARIABLE: str(self.folder)}

    def close(self) -> None:
        """Let go of it. It ends some seconds after everybody has. Twice is once."""
        self._link.close()
        if self._process is not None:
            _let_go.append(self._process)

    def stop(self) -> None:
        """End it now, whoever uses it, and wait until it is gone. Twice is once."""
        self._link.close()
        if self._process is None or self._process.poll() is not None:
            return
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def __enter__(self) -> Emulation:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


def start(inventory: Inventory, folder: Path) -> Emulation:
    """Emulate that inventory in that folder, in a process of a session of its own.

    Raises:
        GpuError: an engine lives there already, or it did not come up.
    """
    if _dial(folder) is not None:
        raise GpuError(
            "an emulated GPU lives here already", where=str(folder), hint="use another folder"
        )
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    layout.write_inventory(folder, inventory)
    with layout.log_path(folder).open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "rota.emulation.engine", str(folder)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        link = _await(folder, process)
    except BaseException:
        process.kill()
        process.wait()
        raise
    return Emulation(folder, process.pid, link, process)


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


def folder_from_environment() -> Path | None:
    """The folder that the environment names; None where it names none."""
    name = os.environ.get(layout.VARIABLE)
    return Path(name) if name else None


def _dial(folder: Path) -> socket | None:
    try:
        return wire.connect(layout.socket_path(folder), PATIENCE)
    except OSError:
        return None


def _await(folder: Path, process: subprocess.Popen[bytes]) -> socket:
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        ended = process.poll() is not None
        link = None if ended else _dial(folder)
        if link is not None:
            return link
        if ended:
            said = layout.log_path(folder).read_text().strip().splitlines()
            raise GpuError(
                "the emulated GPU ended at once",
                where=str(folder),
                hint=said[-1:][0] if said else "",
            )
        time.sleep(0.01)
    raise GpuError(f"the emulated GPU did not come up in {PATIENCE:.0f} s", where=str(folder))
