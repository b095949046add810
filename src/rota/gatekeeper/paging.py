"""Paging that acts: who goes to host memory, who comes back, and when that may begin.

`rota.memory.pager` knows where everybody's memory is and what may follow what; here it is asked, and
what it allows is done by the gates' own threads. A step of seconds so holds up nobody but those whose
memory it is, and, while somebody comes back, those on the same GPU: they could take its room.

A client comes back in a handover: it becomes its turn, every other gate of its GPUs is closed, its
room is free and nobody else's, it is paged in, the GPU is weighed anew, and its gates open.
"""

from __future__ import annotations

import enum
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from rota.gatekeeper.clearing import Clearing, Turns
from rota.gatekeeper.crossing import AWAY, COMING, Crossing, Gpus
from rota.gatekeeper.gate import Gate
from rota.gatekeeper.group import Group
from rota.gatekeeper.messages import Node, PagingSettings
from rota.gatekeeper.needs import UNKNOWN, Room
from rota.gatekeeper.orders import Orders
from rota.gatekeeper.paged import PagedJournal
from rota.gatekeeper.rescue import LOST
from rota.gatekeeper.rooms import Rooms
from rota.memory.limits import Claim, Pool
from rota.memory.pager import Place
from rota.memory.terms import GpuTerms

FORGOTTEN = 1.0
"""Seconds between two looks for notes of processes that are no more."""

PACE = 0.02
"""Seconds between two looks for whom there is something to do, while somebody is on its way."""

CALM = 0.1
"""The same while nobody is. A newcomer, and who begins to want the GPU, are seen to at once."""


class Arrival(enum.Enum):
    """Whether a client's turn may begin."""

    THERE = enum.auto()
    COMING = enum.auto()
    NOT = enum.auto()


class Paging:
    """All clients of one node and where their memory is.

    Args:
        journal: what is noted for whoever comes after us.
        gpus: what is known of the GPUs' memory.
        rooms: host memory.
        wall: seconds since 1970.
    """

    def __init__(
        self,
        journal: PagedJournal,
        gpus: Gpus,
        rooms: Rooms,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._crossing = Crossing(journal, gpus, wall)
        self._clearing = Clearing(self._crossing, gpus, rooms)
        self._orders = Orders(self._crossing, self._clearing)
        self._gpus, self._rooms = gpus, rooms
        self._swept = self._looked = 0.0

    # What is said

    def tell(self, settings: PagingSettings) -> None:
        """Take over what the agent says."""
        self._clearing.settings = settings

    def terms(self, node: Node) -> tuple[GpuTerms, ...]:
        """How memory is shared; of a GPU that no longer is, where somebody comes back to it, too."""
        known = {terms.gpu for terms in node.memory}
        return node.memory + tuple(
            GpuTerms(
                Pool(gpu, size, 1, limited=False),
                tuple(Claim(client.id) for client in node.clients if gpu in client.shares),
                hard=False,
                auto=False,
            )
            for gpu, size in self._crossing.notes.gpus().items()
            if gpu not in known
        )

    @property
    def homing(self) -> bool:
        """Everybody comes back, as far as there is room, and nobody goes."""
        return self._clearing.homing

    @homing.setter
    def homing(self, homing: bool) -> None:
        self._clearing.homing = homing

    @property
    def alone(self) -> bool:
        """No agent is heard: who waits comes back, as far as there is room, and nobody goes."""
        return self._clearing.alone

    @alone.setter
    def alone(self, alone: bool) -> None:
        self._clearing.alone = alone

    def is_missed(self, turns: Turns) -> bool:
        """While there are no turns: somebody in host memory is to come back, or waits to."""
        crossing = self._crossing
        return any(
            client in crossing.wanted_back or any(gate.demand.wants() for gate in group)
            for client, group in turns.groups.items()
            if group.away and client not in crossing.paused
        )

    def page(self, client: str, turns: Turns, *, out: bool) -> None:
        """Bring a client to host memory, or back, because somebody says so.

        Raises:
            PagingRefused: it cannot be.
        """
        self._orders.give(client, turns, out=out)

    def adopt(self, gate: Gate) -> None:
        """A gate of a process that may have been paged out before we came."""
        note = self._crossing.notes.adopt(gate.process)
        if note:
            gate.closed = gate.paged = note.step != LOST

    # What the turns ask

    def sees(self, client: str, wants: bool | None, now: float) -> bool | None:
        """What the turns are to make of a client that was seen to want the GPU, or not."""
        if not self._active:
            return wants
        if wants and client not in self._clearing.asks:
            self._clearing.asks[client] = now
            self._looked = 0.0
        if wants is False:
            self._clearing.asks.pop(client, None)
        place = self._crossing.place(client)
        if place in COMING:
            return True
        if place in AWAY or client in self._clearing.kept_back:
            return False
        return wants

    @property
    def away(self) -> frozenset[str]:
        """Clients that can have no turn now."""
        return frozenset({*self._crossing.at(*AWAY), *self._clearing.kept_back})

    @property
    def crosses(self) -> bool:
        """Somebody is not simply on the GPU: whoever comes back must find every gate closed."""
        return bool(self._orders.to_go) or self._crossing.busy

    @property
    def any_out(self) -> bool:
        """Somebody's memory is not on the GPU, and could come back."""
        return self._crossing.notes.any_out

    @property
    def moving(self) -> bool:
        """Somebody is on its way, or is about to be."""
        return bool(self._crossing.held or self._crossing.at(Place.LEAVING, *COMING))

    @property
    def hurried(self) -> bool:
        """What comes next is to be done in a moment."""
        return bool(self._orders.to_go or self._clearing.hurried)

    def is_entering(self, gpus: Iterable[str]) -> bool:
        """Somebody's memory comes back to one of these GPUs: nobody else may be let in."""
        pager = self._crossing.pager
        entering = [pager.seat(client).memory for client in self._crossing.at(Place.ENTERING)]
        return any(gpu in memory for memory in entering for gpu in gpus)

    def stretch(self, gpu: str, into: str | None) -> dict[str, Any]:
        """Who is out, for whom room is held, and who comes back, in a stretch of that GPU."""
        held = self._crossing.held_on(gpu)
        out = frozenset(self._crossing.at(*AWAY, *COMING))
        restoring = {into: held.pop(into)} if into in held else {}
        return {"out": out, "held": held, "restoring": restoring}

    def returns_to(self, gpu: str) -> bool:
        """Room is held there for somebody who comes back."""
        return bool(self._crossing.held_on(gpu))

    def arrive(self, client: str, turns: Turns, now: float) -> Arrival:
        """Its turn is to begin, and every other gate of its GPUs is closed: bring it back first."""
        crossing = self._crossing
        match crossing.place(client):
            case Place.RESIDENT:
                return Arrival.THERE
            case Place.ENTERING:
                return Arrival.COMING
            case Place.HELD if crossing.is_free_for(client):
                begun = crossing.enter(client, turns.groups[client], now)
                return Arrival.COMING if begun else Arrival.NOT
            case Place.HELD:
                crossing.let_go(client, now, "its room was taken")
        return Arrival.NOT

    # What there is to do

    def step(self, turns: Turns, now: float) -> None:
        """See what has become of the steps under way, and begin those that are due."""
        crossing = self._crossing
        back = crossing.back(turns.groups)
        if not self._active or not (back or self._is_due(turns, now)):
            return
        self._looked = now
        self._meet(turns, now)
        for client in list(crossing.pager.seats):
            crossing.tend(client, turns.groups[client], turns.ensemble.has(client), now)
        if back:
            self._rooms.forget()
            self._clearing.used |= dict.fromkeys(
                (client for client in back if crossing.place(client) is Place.RESIDENT), now
            )
        if turns.ensemble.paused:
            self._rest(now)
            return
        self._orders.obey(turns, now)
        self._clearing.step(turns, now)
        turns.ensemble.away = self.away

    def _is_due(self, turns: Turns, now: float) -> bool:
        calm = not (self.moving or self.hurried)
        known = self._crossing.pager.seats.keys() == turns.groups.keys()
        return now - self._looked >= (CALM if calm and known else PACE)

    def _rest(self, now: float) -> None:
        """There are no turns: nobody is held back, and nothing is held."""
        self._clearing.kept_back.clear()
        for client in [
            n for n in self._crossing.held if n not in self._crossing.at(Place.ENTERING)
        ]:
            self._crossing.let_go(client, now)

    @property
    def _active(self) -> bool:
        """There may be something to do: else nothing is looked at, and nobody is delayed."""
        return self._clearing.settings.enabled or bool(self._orders.to_go) or self._crossing.busy

    def _meet(self, turns: Turns, now: float) -> None:
        """Who is there, what everybody uses, and who works."""
        groups = {client: group for client, group in turns.groups.items() if len(group)}
        for client in self._crossing.pager.seats.keys() - groups.keys():
            self._crossing.forget(client)
            self._clearing.forget(client)
            self._orders.to_go.discard(client)
        gpus = {gpu for group in groups.values() for gpu in group.spec.shares}
        rooms = {gpu: room for gpu in gpus if (room := Room.of(self._gpus.stand(gpu)))}
        for client, group in groups.items():
            self._join(client, group, now)
            use = {gpu: rooms[gpu].use(client) for gpu in group.spec.shares if gpu in rooms}
            self._crossing.pager = self._crossing.pager.used(client, use)
            self._clearing.see(client, turns, now)
        if now - self._swept >= FORGOTTEN:
            self._swept = now
            self._crossing.notes.sweep({p for group in groups.values() for p in group.processes})

    def _join(self, client: str, group: Group, now: float) -> None:
        """It has a seat, where the notes say that its memory is."""
        crossing, never = self._crossing, not group.spec.pageable
        if client in crossing.pager.seats:
            crossing.pager = crossing.pager.annotated(client, never=never)
            return
        crossing.pager = crossing.pager.joined(client, (), now, never=never)
        for process in group.processes:
            note = crossing.notes.get(process)
            if note and not note.memory:  # it was damaged
                memory = dict.fromkeys(group.spec.shares, UNKNOWN)
                crossing.notes.change(process, client=client, memory=memory)
        notes = [note for p in group.processes if (note := crossing.notes.get(p))]
        if notes:
            lost = any(note.step == LOST for note in notes)
            place = Place.LOST if lost else Place.OUT
            pager = crossing.pager.used(client, crossing.notes.memory(client))
            crossing.pager = pager.found(client, place, now)

    # The figures

    def describe(self, now: float) -> Mapping[str, Any]:
        """Of each client that is not simply on the GPU: where it is, since when, and why."""
        crossing, short = self._crossing, self._clearing.short
        return {
            client: {
                "place": str(seat.place),
                "memory": dict(seat.memory),
                "bytes": seat.size,
                "seconds": max(0.0, now - seat.since),
                "seconds_out": seat.seconds_out,
                "paused": client in crossing.paused,
                "asked": client in self._orders.to_go or client in crossing.wanted_back,
                "wants": client in self._clearing.asks,
                "short": short.get(client, 0),
                "error": seat.error,
            }
            for client, seat in crossing.pager.seats.items()
            if seat.place is not Place.RESIDENT or client in self._orders.to_go or seat.error
            or client in short
        }  # fmt: skip
