"""The asking side: finds the agent, starts one for the user where there is none, and asks.

Light to import, since `rota run` must not be felt: sockets and JSON, no event loop.
"""

from __future__ import annotations

import grp
import os
import socket
import struct
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from rota.errors import RotaError
from rota.jobs import protocol
from rota.jobs.folder import LASTING, SOCKET

_CREDENTIALS = struct.Struct("3i")
_LARGEST = 1 << 26


class NoAgent(RotaError):
    """No agent listens there."""


class NotAllowed(RotaError):
    """An agent listens there, and not to this user."""


class AgentGone(RotaError):
    """The agent ended before it answered."""


class Link:
    """One connection to an agent that may be believed: root's, or the same user's."""

    def __init__(self, link: socket.socket, where: Path) -> None:
        """Made by `connect`."""
        self._link = link
        self._where = where
        self._rest = bytearray()

    def ask(self, op: str, **fields: Any) -> None:
        """Send the request.

        Raises:
            AgentGone: nobody is there to read it.
        """
        try:
            self._link.sendall(protocol.request(op, **fields))
        except OSError:
            raise self._gone() from None

    def answers(self) -> Iterator[dict[str, Any]]:
        """What comes, until one that is neither `waiting` nor a step that is not done yet.

        Raises:
            RotaError: the agent refuses.
            AgentGone: it ended.
        """
        while True:
            answer = protocol.decode(self._line())
            protocol.raise_error(answer)
            yield answer
            paging = answer.get("paging")
            if "waiting" not in answer and not (paging and not paging["done"]):
                return

    def answer(self) -> dict[str, Any]:
        """The one answer. Raises as `answers`."""
        return next(self.answers())

    def close(self) -> None:
        """Leave. Twice is once."""
        self._link.close()

    def __enter__(self) -> Link:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _line(self) -> bytes:
        while (end := self._rest.find(b"\n")) < 0:
            part = self._receive()
            if not part or len(self._rest) > _LARGEST:
                raise self._gone()
            self._rest += part
        line = bytes(self._rest[:end])
        del self._rest[: end + 1]
        return line

    def _receive(self) -> bytes:
        try:
            return self._link.recv(1 << 16)
        except ConnectionError:
            return b""

    def _gone(self) -> AgentGone:
        return AgentGone("the agent ended before it answered", where=str(self._where))


def find(folders: Sequence[Path]) -> Link:
    """A connection to the first agent that there is.

    One that does not listen to this user counts only if it is there to last: the others are
    somebody's own, and end when that one has no job any more.

    Raises:
        NoAgent: there is none.
        RotaError: there is one, and this user may not ask it, or must not believe it.
    """
    for folder in folders:
        try:
            return connect(folder / SOCKET)
        except NoAgent:
            continue
        except NotAllowed:
            if folder == folders[-1] or (folder / LASTING).exists():
                raise
    hint = "`rota run` starts one; name its folder with --run-dir if it has another"
    raise NoAgent("no agent runs here, so there are no jobs", where=str(folders[-1]), hint=hint)


def connect(path: Path) -> Link:
    """A connection to the agent that listens there. Raises as `find`."""
    link = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        link.connect(str(path))
        _believe(link, path)
    except (FileNotFoundError, ConnectionRefusedError, NotADirectoryError):
        link.close()
        raise NoAgent("no agent listens here", where=str(path)) from None
    except PermissionError:
        link.close()
        raise _not_allowed(path) from None
    except OSError as error:
        link.close()
        raise RotaError(
            f"cannot ask the agent: {error.strerror or error}", where=str(path)
        ) from None
    except BaseException:
        link.close()
        raise
    return Link(link, path)


def _believe(link: socket.socket, path: Path) -> None:
    """What an agent answers becomes the environment of a program: only root's or our own may."""
    raw = link.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    _, uid, _ = _CREDENTIALS.unpack(raw)
    if uid not in (0, os.geteuid()):
        raise RotaError(
            f"this agent is user {uid}'s, and is not believed",
            where=str(path),
            hint="name your own folder with --run-dir",
        )


def _not_allowed(path: Path) -> NotAllowed:
    hint = "ask whoever runs it for access"
    with suppress(OSError, KeyError):
        found = path.stat()
        if found.st_mode & 0o020:
            hint = f"join the group {grp.getgrgid(found.st_gid).gr_name}, and log in again"
    return NotAllowed("you may not use this machine's agent", where=str(path), hint=hint)
