"""The socket itself: who may connect, and who has, as the kernel vouches for it."""

from __future__ import annotations

import os
import pwd
import socket
import struct
from dataclasses import dataclass
from pathlib import Path

from rota.errors import RotaError
from rota.jobs import pidfd, processes
from rota.jobs.job import Process
from rota.jobs.line import Caller

_CREDENTIALS = struct.Struct("3i")
_SO_PEERPIDFD = 77
"""From linux/socket.h (6.5 and later); Python has no name for it."""


@dataclass(frozen=True, slots=True)
class Access:
    """Who may connect.

    Attributes:
        mode: permission bits of the socket.
        group: gid that it belongs to; None leaves it.
    """

    mode: int = 0o600
    group: int | None = None


def listen(path: Path, access: Access) -> socket.socket:
    """A socket that listens at `path`; what lies there is replaced. OSError if it cannot be made."""
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        path.unlink(missing_ok=True)
        before = os.umask(0o177)
        try:
            listening.bind(str(path))
        finally:
            os.umask(before)
        if access.group is not None:
            os.chown(path, -1, access.group)
        path.chmod(access.mode)
        listening.listen(128)
        listening.setblocking(False)
    except BaseException:
        listening.close()
        raise
    return listening


def caller_of(link: socket.socket) -> Caller:
    """Who is at the other end, with the start time of that very process.

    Raises:
        RotaError: it has ended, or cannot be seen from here.
    """
    raw = link.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    pid, uid, _ = _CREDENTIALS.unpack(raw)
    if pid <= 0:
        raise RotaError(
            "the caller's process cannot be seen from here",
            hint="run it in the agent's pid namespace, outside of containers",
        )
    descriptor = _peer_pidfd(link, pid)
    try:
        since = processes.started(pid)
        if since is None or pidfd.ended(descriptor):
            raise RotaError("the caller has ended")
    finally:
        os.close(descriptor)
    return Caller(Process(pid, since), uid, _user(uid))


def _peer_pidfd(link: socket.socket, pid: int) -> int:
    try:
        return link.getsockopt(socket.SOL_SOCKET, _SO_PEERPIDFD)
    except OSError:
        pass
    try:
        return os.pidfd_open(pid)
    except OSError:
        raise RotaError("the caller has ended") from None


def _user(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)
