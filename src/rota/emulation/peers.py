"""Who is connected to the engine: programs that use the GPU, and tools that look at it."""

from __future__ import annotations

import os
import socket
from dataclasses import dataclass, field

from rota.emulation import wire
from rota.emulation.fence import Fences


@dataclass(slots=True)
class Peer:
    """One connection.

    Attributes:
        key: a number of its own, never used twice.
        link: its socket.
        pid: its process, as the kernel says.
        fences: the page in which its finished work is noted; None for tools.
        slots: device UUID → the word in that page.
        watching: it wants to be told of the errors that the GPU reports.
    """

    key: int
    link: socket.socket
    pid: int
    fences: Fences | None = None
    slots: dict[str, int] = field(default_factory=dict)
    watching: bool = False
    lost: bool = False

    def tell(self, message: wire.Message) -> None:
        """Send; a peer that does not read what it asked for is given up."""
        try:
            wire.send(self.link, message)
        except OSError:
            self.lost = True

    def adopt(self, descriptor: int) -> None:
        """Map the page that came with its greeting."""
        try:
            self.fences = Fences(descriptor)
        finally:
            os.close(descriptor)

    def slot(self, device: str) -> int:
        """The word for that device, the next free one if it has none yet."""
        return self.slots.setdefault(device, len(self.slots))

    def done(self, device: str, ticket: int) -> None:
        """Note that its work on that device is done up to this number."""
        if self.fences is not None:
            self.fences.write(self.slot(device), ticket)
