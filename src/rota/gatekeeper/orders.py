"""Paging because somebody says so: `rota pause` and `rota resume`.

A client that was told to go is paged out whether it idles or not, once its gates are closed, and stays
out until it is told to come back, or everybody comes home.
"""

from __future__ import annotations

from rota.gatekeeper.clearing import Clearing, Turns
from rota.gatekeeper.crossing import COMING, Crossing
from rota.gatekeeper.group import Group
from rota.memory.pager import PagingRefused, Place


class Orders:
    """What was said of the clients of one node.

    Args:
        crossing: who is where.
        clearing: pages them out.

    Attributes:
        to_go: clients that were told to go, and have not begun to.
    """

    def __init__(self, crossing: Crossing, clearing: Clearing) -> None:
        self.to_go: set[str] = set()
        self._crossing, self._clearing = crossing, clearing

    def give(self, client: str, turns: Turns, *, out: bool) -> None:
        """Bring a client to host memory, or back, because somebody says so.

        Raises:
            PagingRefused: it cannot be.
        """
        group = turns.groups.get(client)
        if group is None or not len(group):
            raise PagingRefused(f"{client} has nothing on a GPU", where=client)
        self._crossing.forgive(client)
        (self._pause if out else self._resume)(client, group)

    def _pause(self, client: str, group: Group) -> None:
        off = self._clearing.settings.off
        why = next((why for gpu in group.spec.shares if (why := off.get(gpu))), "")
        if why := why or group.ungated or group.spec.ungated:
            raise PagingRefused(f"{client} cannot be paged out: {why}", where=client)
        crossing = self._crossing
        crossing.wanted_back.discard(client)
        crossing.paused.add(client)
        self._note_paused(group, paused=True)
        if crossing.place(client) in (Place.RESIDENT, *COMING):
            self.to_go.add(client)

    def _resume(self, client: str, group: Group) -> None:
        crossing = self._crossing
        if crossing.place(client) is Place.LOST:
            raise PagingRefused(f"the driver lost {client}", where=client, hint="end it")
        crossing.paused.discard(client)
        self.to_go.discard(client)
        self._note_paused(group, paused=False)
        if crossing.place(client) is not Place.RESIDENT:
            crossing.wanted_back.add(client)

    def _note_paused(self, group: Group, *, paused: bool) -> None:
        for process in group.processes:
            self._crossing.notes.change(process, paused=paused)

    def obey(self, turns: Turns, now: float) -> None:
        """Begin what somebody asked for."""
        for client in list(self.to_go):
            place = self._crossing.place(client)
            if place in COMING:
                continue
            if place is Place.RESIDENT:
                begun = self._clearing.leave_by_hand(client, turns.groups[client], now)
                if begun is None:
                    continue
                if not begun:
                    self._crossing.paused.discard(client)
            self.to_go.discard(client)
