"""Where an agent for local jobs is found: its folder, held by one agent alone, and marked.

The folder may be taken away (a cleaner of /tmp, a logout); then it is made and held anew, before
somebody starts a second agent there.
"""

from __future__ import annotations

import os
import socket
from contextlib import AbstractContextManager, AsyncExitStack, ExitStack, suppress
from pathlib import Path

from rota.agent.lock import only_agent
from rota.jobs.folder import LASTING, LOCK, prepare
from rota.jobs.server import file_at
from rota.jobs.starting import READY


class Home:
    """One agent's folder.

    Args:
        folder: where it is.
        lasts: the agent belongs there, so that no user starts one.
    """

    def __init__(self, folder: Path, *, lasts: bool) -> None:
        """Nothing is held yet."""
        self._folder, self._lasts = folder, lasts
        self._locks = ExitStack()
        self._locked: tuple[int, int] | None = None

    def only(self) -> AbstractContextManager[None]:
        """Make the folder, and be its only agent.

        Raises:
            Taken: another agent is there.
            RotaError: the folder cannot be made, or others may put something into it.
        """
        prepare(self._folder)
        return only_agent(self._folder / LOCK, "runtime folder", "--run-dir")

    def move_in(self, stack: AsyncExitStack) -> None:
        """It is held: say that the agent lasts, if it does, until the stack is closed."""
        self._locked = file_at(self._folder / LOCK)
        self._mark(stack)

    def come_back(self) -> None:
        """The folder was taken away: make it, hold it and mark it again. As `only`."""
        if file_at(self._folder / LOCK) != self._locked:
            self._locks.enter_context(self.only())
            self._locked = file_at(self._folder / LOCK)
        self._mark(self._locks)

    def close(self) -> None:
        """Let go of what was held by coming back."""
        self._locks.close()

    def _mark(self, stack: AsyncExitStack | ExitStack) -> None:
        """Leave a mark of an agent that lasts; it stays if this one fails, or is a service."""
        mark = self._folder / LASTING
        mark.unlink(missing_ok=True)
        if self._lasts:
            mark.touch(mode=0o644)
            if "NOTIFY_SOCKET" not in os.environ:
                stack.callback(self._unmark)

    def _unmark(self) -> None:
        if file_at(self._folder / LOCK) == self._locked:
            (self._folder / LASTING).unlink(missing_ok=True)


def tell_ready(descriptor: int | None) -> None:
    """Tell whoever started this agent, and systemd, that it listens."""
    if descriptor is not None:
        with suppress(OSError):
            os.write(descriptor, READY)
            os.close(descriptor)
    address = os.environ.get("NOTIFY_SOCKET", "")
    if address.startswith(("/", "@")):
        with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as link:
            link.sendto(b"READY=1", address.replace("@", "\0", 1))
