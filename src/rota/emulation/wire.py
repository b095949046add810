"""How the emulated GPU and its users talk: JSON in packets over unix sockets of the machine.

Who asks is known from the kernel (SO_PEERCRED), never from what was said, and nobody but the same
user and root is heard.
"""

from __future__ import annotations

import json
import os
import socket
import struct
from pathlib import Path
from typing import Any

from rota.errors import GpuError

Message = dict[str, Any]

PACKET = 1 << 16
_CREDENTIALS = struct.Struct("3i")
_LONGEST = 107


def listen(path: Path) -> socket.socket:
    """A listening socket at a path that nobody listens on; what lies there is replaced."""
    server = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    path.unlink(missing_ok=True)
    server.bind(_address(path))
    path.chmod(0o600)
    server.listen(512)
    server.setblocking(False)
    return server


def connect(path: Path, timeout: float | None = None) -> socket.socket:
    """A connection to whoever listens there.

    Raises:
        OSError: nobody does.
    """
    link = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    try:
        link.settimeout(timeout)
        link.connect(_address(path))
    except BaseException:
        link.close()
        raise
    return link


def peer(link: socket.socket) -> tuple[int, int]:
    """(pid, uid) of the process at the other end, as the kernel vouches for it."""
    raw = link.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    pid, uid, _ = _CREDENTIALS.unpack(raw)
    return pid, uid


def trusted(uid: int) -> bool:
    """That user may speak to a process of ours: the same user, or root."""
    return uid in (0, os.geteuid())


def send(link: socket.socket, message: Message, descriptor: int | None = None) -> None:
    """Send one packet, with a descriptor if one is given."""
    packet = json.dumps(message, separators=(",", ":")).encode()
    if descriptor is None:
        link.send(packet)
    else:
        socket.send_fds(link, [packet], [descriptor])


def receive(link: socket.socket) -> Message | None:
    """The next packet; None when the other end is gone."""
    return _parse(_read(link))


def receive_with_descriptor(link: socket.socket) -> tuple[Message | None, int | None]:
    """The next packet and the descriptor that came with it; the caller closes it."""
    try:
        packet, descriptors, _, _ = socket.recv_fds(link, PACKET, 1)
    except (ConnectionError, BrokenPipeError):
        return None, None
    return _parse(packet), descriptors[0] if descriptors else None


def _read(link: socket.socket) -> bytes:
    try:
        return link.recv(PACKET)
    except (ConnectionError, BrokenPipeError):
        return b""


def _parse(packet: bytes) -> Message | None:
    if not packet:
        return None
    message = json.loads(packet)
    if not isinstance(message, dict):
        raise GpuError("the emulated GPU got a message of an unknown form")
    return message


def _address(path: Path) -> str:
    name = str(path)
    if len(os.fsencode(name)) > _LONGEST:
        raise GpuError(
            "the path is too long for a unix socket",
            where=name,
            hint=f"put the emulated GPU into a folder with a shorter name, {_LONGEST} bytes at most",
        )
    return name
