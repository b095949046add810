"""The emulated GPU itself: `python -m rota.emulation.engine FOLDER`.

One process stands for all GPUs of an emulated node. Programs connect to it, make contexts, take
memory and queue kernels; it lets the kernels take their time and notes in each program's own page
what is done. A program that dies loses its memory and its queue at once, since its socket closes.
The engine ends by itself when nobody has been connected for some seconds.
"""

from __future__ import annotations

import heapq
import os
import selectors
import signal
import sys
import time
from pathlib import Path
from typing import IO

from rota.emulation import layout, wire
from rota.emulation.driver import LINGER
from rota.emulation.peers import Peer
from rota.emulation.service import Service
from rota.emulation.timer import Timer
from rota.errors import RotaError
from rota.locks import locked

FIRST = 15.0
"""Seconds that it waits for its first connection."""


class Engine:
    """The loop: sockets in, finished work out."""

    def __init__(self, folder: Path, service: Service, linger: float = LINGER) -> None:
        self._linger = linger
        self._service = service
        self._folder = folder
        self._path = layout.socket_path(folder)
        self._server = wire.listen(self._path)
        self._timer = Timer()
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._server, selectors.EVENT_READ, self._accept)
        self._selector.register(self._timer, selectors.EVENT_READ, self._timer.clear)
        self._peers: dict[int, Peer] = {}
        self._later: list[tuple[float, int, wire.Message]] = []
        self._next_key = 1
        self._alone_until = time.monotonic() + FIRST

    def run(self) -> None:
        """Serve until nobody is there any more."""
        while self._peers or time.monotonic() < self._alone_until:
            self._timer.set(self._next_moment())
            for key, _ in self._selector.select(None if self._peers else 0.1):
                if isinstance(key.data, Peer):
                    self._read(key.data)
                else:
                    key.data()
            self._pass_time()

    def close(self) -> None:
        """Stop listening and drop every connection."""
        self._path.unlink(missing_ok=True)
        self._server.close()
        for peer in self._peers.values():
            peer.link.close()
        self._selector.close()
        self._timer.close()

    def _accept(self) -> None:
        try:
            link, _ = self._server.accept()
        except OSError:
            return
        pid, uid = wire.peer(link)
        if not wire.trusted(uid):
            link.close()
            return
        link.setblocking(False)
        peer = Peer(self._next_key, link, pid)
        self._next_key += 1
        self._peers[peer.key] = peer
        self._selector.register(link, selectors.EVENT_READ, peer)

    def _read(self, peer: Peer) -> None:
        try:
            message, descriptor = wire.receive_with_descriptor(peer.link)
            if descriptor is not None:
                peer.adopt(descriptor)
        except BlockingIOError:
            return
        except (OSError, ValueError, RotaError):
            message = None
        if message is None:
            self._drop(peer)
        else:
            self._answer(peer, message)

    def _answer(self, peer: Peer, message: wire.Message) -> None:
        answer = self._service.handle(peer, message, time.monotonic())
        if answer is None:
            return
        if answer.after > 0:
            due = time.monotonic() + answer.after
            heapq.heappush(self._later, (due, peer.key, answer.message))
            return
        peer.tell(answer.message)
        for watcher in self._peers.values():
            if watcher.watching and answer.broadcast:
                watcher.tell(answer.broadcast)

    def _drop(self, peer: Peer) -> None:
        self._selector.unregister(peer.link)
        peer.link.close()
        del self._peers[peer.key]
        self._service.leave(peer, time.monotonic())
        if peer.fences is not None:
            layout.gate_path(self._folder, peer.pid).unlink(missing_ok=True)
        if not self._peers:
            self._alone_until = time.monotonic() + self._linger

    def _next_moment(self) -> float | None:
        moments = [self._service.next_end(), self._later[0][0] if self._later else None]
        return min((each for each in moments if each is not None), default=None)

    def _pass_time(self) -> None:
        now = time.monotonic()
        while self._later and self._later[0][0] <= now:
            _, key, message = heapq.heappop(self._later)
            if key in self._peers:
                self._peers[key].tell(message)
        for key, device, ticket in self._service.finished(now):
            if key in self._peers:
                self._peers[key].done(device, ticket)
        for peer in [each for each in self._peers.values() if each.lost]:
            self._drop(peer)


def _only_one(folder: Path) -> IO[str]:
    lock = layout.lock_path(folder).open("w")
    if not locked(lock.fileno()):
        sys.exit(f"rota: {folder}: an engine lives here already")
    return lock


def main(folder: Path, linger: float = LINGER) -> None:
    """Emulate what the folder says until nobody is there any more, or until SIGTERM."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    lock = _only_one(folder)
    try:
        inventory = layout.read_inventory(folder)
        layout.gate_path(folder, 0).parent.mkdir(mode=0o700, exist_ok=True)
        engine = Engine(folder, Service(inventory, time.monotonic()), linger)
    except RotaError as error:
        sys.exit(f"rota: {error}")
    try:
        engine.run()
    finally:
        engine.close()
        lock.close()


if __name__ == "__main__":
    if not 2 <= len(sys.argv) <= 3:
        sys.exit("usage: python -m rota.emulation.engine FOLDER [SECONDS]")
    os.umask(0o077)
    main(Path(sys.argv[1]), *map(float, sys.argv[2:]))
