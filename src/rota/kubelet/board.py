"""Where one resource's listing hangs for all who watch it.

Each watcher takes the newest listing when it is ready for one. Nothing queues: a watcher that is
slow skips what is no longer true, and hurts nobody else.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable

from rota.kubelet.api import deviceplugin_pb2 as pb
from rota.kubelet.listing import Listing
from rota.replicas.preferred import Chooser

HEALTHY = "Healthy"
UNHEALTHY = "Unhealthy"


class Board:
    """The current listing of one resource, and its watchers' bell."""

    def __init__(self, listing: Listing) -> None:
        self._listing = listing
        self._response = _response(listing)
        self._bell = asyncio.Event()
        self._chooser = Chooser(listing.resource)

    @property
    def chooser(self) -> Chooser:
        """Chooses replicas of what hangs here now."""
        if self._chooser.resource is not self._listing.resource:
            self._chooser = Chooser(self._listing.resource)
        return self._chooser

    @property
    def listing(self) -> Listing:
        """What hangs here now."""
        return self._listing

    def hang(self, listing: Listing) -> bool:
        """Replace the listing. Watchers hear of it, and True comes back, if the list differs."""
        before = self._response
        self._listing = listing
        self._response = _response(listing)
        if self._response == before:
            self._response = before
            return False
        self.ring()
        return True

    def ring(self) -> None:
        """Wake every watcher."""
        self._bell.set()
        self._bell = asyncio.Event()

    async def watch(self, closed: Callable[[], bool]) -> AsyncIterator[pb.ListAndWatchResponse]:
        """The listing now, then after each change, until `closed` is true when the bell rings."""
        sent = None
        while not closed():
            if sent is self._response:
                await self._bell.wait()
            else:
                sent = self._response
                yield sent


def _response(listing: Listing) -> pb.ListAndWatchResponse:
    devices = [
        pb.Device(
            ID=id_,
            health=UNHEALTHY if reason else HEALTHY,
            topology=_topology(listing.numa[id_]) if id_ in listing.numa else None,
        )
        for id_, reason in listing.states.items()
    ]
    return pb.ListAndWatchResponse(devices=devices)


def _topology(node: int) -> pb.TopologyInfo:
    return pb.TopologyInfo(nodes=[pb.NUMANode(ID=node)])
