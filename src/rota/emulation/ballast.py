"""The emulated side of the ballast door: memory that the engine gives to a program without a context."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path

from rota.emulation.device import GRANULE
from rota.emulation.link import Link

PIECES = 512
"""Pieces in one request: it has to fit into a packet."""


class EmulatedBallast:
    """Memory of the emulated GPUs of that folder. Raises `GpuError` once the engine is gone."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._making = threading.Lock()
        self._links: dict[str, Link] = {}

    def granule(self, gpu: str) -> int:
        """The size of which every piece is a multiple."""
        return GRANULE

    def take(self, gpu: str, sizes: Sequence[int]) -> list[int]:
        """Hold pieces, as many as there is room for."""
        taken: list[int] = []
        for begin in range(0, len(sizes), PIECES):
            some = list(sizes[begin : begin + PIECES])
            got = self._link(gpu).ask("hold", device=gpu, sizes=some)["handles"]
            taken += [int(handle) for handle in got]
            if len(got) < len(some):
                break
        return taken

    def release(self, gpu: str, handles: Sequence[int]) -> None:
        """Let pieces go, which takes as long as on the real GPU."""
        for begin in range(0, len(handles), PIECES):
            self._link(gpu).ask("let-go", device=gpu, handles=list(handles[begin : begin + PIECES]))

    def close(self) -> None:
        """Let everything go. Twice is once."""
        with self._making:
            links, self._links = list(self._links.values()), {}
        for link in links:
            link.close()

    def _link(self, gpu: str) -> Link:
        """A connection for each GPU: one that is slow holds up no other."""
        with self._making:
            if gpu not in self._links:
                self._links[gpu] = Link(self._folder)
            return self._links[gpu]
