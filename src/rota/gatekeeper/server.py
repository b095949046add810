"""The control socket: lines of JSON, answered between two steps of the loop.

Only root and the user that the gatekeeper runs as are heard; the kernel says who asks. Nothing here
blocks: a reader that does not read has its answers kept up to a limit, and is then let go.
"""

from __future__ import annotations

import os
import selectors
import socket
import struct
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rota.errors import RotaError
from rota.gatekeeper.messages import MessageError, decode, encode

LONGEST = 1 << 22
"""Bytes that a request may have, or an answer that is not read may lie around with."""

_PIECE = 1 << 16
_CREDENTIALS = struct.Struct("3i")

Answer = Callable[["Peer", dict[str, Any]], dict[str, Any]]


@dataclass(slots=True, eq=False)
class Peer:
    """One connection."""

    link: socket.socket
    received: bytearray = field(default_factory=bytearray)
    unsent: bytearray = field(default_factory=bytearray)


def socket_path(runtime: Path) -> Path:
    """Where the gatekeeper of that runtime folder listens."""
    return runtime / "gatekeeper.sock"


def peer_of(link: socket.socket) -> tuple[int, int]:
    """(pid, uid) of the other end, as the kernel vouches for it."""
    raw = link.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    pid, uid, _ = _CREDENTIALS.unpack(raw)
    return pid, uid


class Server:
    """All connections of one gatekeeper.

    Args:
        runtime: the folder to listen in.
        selector: the loop's.
        answer: makes the answer to a request; a `RotaError` becomes an answer too.
        left: told of each connection that ended.
    """

    def __init__(
        self,
        runtime: Path,
        selector: selectors.BaseSelector,
        answer: Answer,
        left: Callable[[Peer], None],
    ) -> None:
        self._selector, self._answer, self._left = selector, answer, left
        self._peers: set[Peer] = set()
        self._path = socket_path(runtime)
        self._listener = _listen(self._path)
        selector.register(self._listener, selectors.EVENT_READ, self._accept)

    def close(self) -> None:
        """End all connections; nobody finds the socket any more."""
        self._path.unlink(missing_ok=True)
        self._selector.unregister(self._listener)
        self._listener.close()
        for peer in list(self._peers):
            self._drop(peer)

    def _accept(self, _: int) -> None:
        try:
            link, _address = self._listener.accept()
        except OSError:
            return
        link.setblocking(False)
        if peer_of(link)[1] not in (0, os.geteuid()):
            with suppress(OSError):
                link.send(encode({"error": "only root and the gatekeeper's own user are heard"}))
            link.close()
            return
        peer = Peer(link)
        self._peers.add(peer)
        self._selector.register(link, selectors.EVENT_READ, lambda mask: self._serve(peer, mask))

    def _serve(self, peer: Peer, mask: int) -> None:
        try:
            if mask & selectors.EVENT_WRITE:
                self._flush(peer)
            if mask & selectors.EVENT_READ:
                self._read(peer)
        except (OSError, MessageError):
            self._drop(peer)

    def _read(self, peer: Peer) -> None:
        try:
            data = peer.link.recv(_PIECE)
        except BlockingIOError:
            return
        if not data:
            self._drop(peer)
            return
        peer.received += data
        *lines, rest = peer.received.split(b"\n")
        if max(len(rest), len(peer.unsent)) > LONGEST:
            raise MessageError("more than anybody needs")
        peer.received = rest
        for line in lines:
            peer.unsent += encode(self._answer_to(peer, bytes(line)))
        self._flush(peer)

    def _answer_to(self, peer: Peer, line: bytes) -> dict[str, Any]:
        try:
            return self._answer(peer, decode(line))
        except RotaError as error:
            return {"error": str(error)}

    def _flush(self, peer: Peer) -> None:
        with suppress(BlockingIOError):
            del peer.unsent[: peer.link.send(peer.unsent)]
        mask = selectors.EVENT_READ | (selectors.EVENT_WRITE if peer.unsent else 0)
        if self._selector.get_key(peer.link).events != mask:
            self._selector.modify(peer.link, mask, lambda m: self._serve(peer, m))

    def _drop(self, peer: Peer) -> None:
        if peer in self._peers:
            self._peers.discard(peer)
            self._selector.unregister(peer.link)
            peer.link.close()
            self._left(peer)


def _listen(path: Path) -> socket.socket:
    if len(os.fsencode(path)) > 107:
        raise RotaError(
            "the path is too long for a unix socket",
            where=str(path),
            hint="use a runtime folder with a shorter name",
        )
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    path.unlink(missing_ok=True)
    listener.bind(str(path))
    path.chmod(0o600)
    listener.listen(64)
    listener.setblocking(False)
    return listener
