"""Room: held for those who come back, and made by paging out those who idle.

Who comes back waits out of turn until all that it needs is held. Who begins, or wakes up after long,
waits until idle clients have made room for its limit; who is at work does not wait for that.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from typing import Protocol

from rota.gatekeeper.crossing import COMING, Crossing, Gpus
from rota.gatekeeper.group import Group
from rota.gatekeeper.messages import PagingSettings, Settings
from rota.gatekeeper.needs import Room, missing_to_go_on, missing_to_return
from rota.gatekeeper.rooms import PAGING, Reading, Rooms
from rota.memory import paging
from rota.memory.pager import Place
from rota.memory.paging import Choice
from rota.scheduling.ensemble import Ensemble

PATIENCE = 120.0
"""Seconds that a client on a GPU waits for room at most: a driver may hang in somebody's page-out."""

YOUNG = 1.0
"""Seconds after its coming in which a client must be in a reading of its GPU."""


class Turns(Protocol):
    """The turns (`rota.gatekeeper.turns`), as far as they are read here."""

    ensemble: Ensemble
    groups: dict[str, Group]

    @property
    def settings(self) -> Settings:
        """By which turns are taken now."""
        ...


class Clearing:
    """Makes room on the GPUs of one node.

    Args:
        crossing: who is where.
        gpus: what is known of the GPUs' memory.
        rooms: host memory.

    Attributes:
        settings: as the agent told them last.
        homing: everybody comes back, as far as there is room, and nobody goes.
        alone: no agent is heard: who waits comes back, as far as there is room, and nobody goes.
        used: client → when it last wanted a GPU or worked on one.
        asks: client → since when it has been seen to want a GPU.
        kept_back: clients on a GPU that wait until there is room for their limit.
        short: client → bytes that it waits for.
    """

    def __init__(self, crossing: Crossing, gpus: Gpus, rooms: Rooms) -> None:
        self.settings = PagingSettings()
        self.homing = self.alone = False
        self.used: dict[str, float] = {}
        self.asks: dict[str, float] = {}
        self.kept_back: set[str] = set()
        self.short: dict[str, int] = {}
        self._crossing, self._gpus, self._rooms = crossing, gpus, rooms
        self._served: set[str] = set()
        self._kept_before: set[str] = set()
        self._kept_since: dict[str, float] = {}

    @property
    def stays_put(self) -> bool:
        """Nobody is brought to host memory by us."""
        return not self.settings.enabled or self.homing or self.alone

    @property
    def hurried(self) -> bool:
        """What comes next is to be done in a moment."""
        return bool(self._crossing.held or self.kept_back or self._rooms.reading)

    def see(self, client: str, turns: Turns, now: float) -> None:
        """Whether a client works. One that has idled for long begins anew."""
        if works(client, turns):
            self.used[client] = now
        elif now - self.used.get(client, now) >= self.settings.idle_after:
            self._served.discard(client)

    def forget(self, client: str) -> None:
        """It is no more."""
        for known in (self.used, self.asks, self.short, self._kept_since):
            known.pop(client, None)
        for some in (self.kept_back, self._served):
            some.discard(client)

    def step(self, turns: Turns, now: float) -> None:
        """Hold what there is for those who come back, and page out idle clients for the rest."""
        self._kept_before, self.kept_back = self.kept_back, set()
        self.short.clear()
        returning = self._returning(now)
        held = [n for n in self._crossing.held if self._crossing.place(n) not in COMING]
        for client in held:
            if client not in returning:  # it need not come back after all
                self._crossing.let_go(client, now)
        for client in returning:
            self._return(client, turns, now)
        self._hold(now)
        if not self.stays_put:
            for client in self._wanting(turns):
                self._go_on(client, turns, now)

    def leave_by_hand(self, client: str, group: Group, now: float) -> bool | None:
        """Page out one that somebody named; None while host memory is being read."""
        reading = self._rooms.now({client: pids(group)}, now)
        return None if reading is None else self._leave(client, reading, now, by_hand=True)

    # For those who come back

    def _returning(self, now: float) -> list[str]:
        """Who is out and is to come back, the longest wait first."""
        crossing = self._crossing
        found = [
            client
            for client in crossing.at(Place.OUT)
            if crossing.may_try(client, now)
            and (
                self.homing
                or client in crossing.wanted_back
                or (client in self.asks and client not in crossing.paused)
            )
        ]
        return sorted(found, key=lambda client: self.asks.get(client, now))

    def _return(self, client: str, turns: Turns, now: float) -> None:
        """Hold its room if it is there; else see that it comes free."""
        crossing = self._crossing
        if client in crossing.held or not turns.ensemble.has(client):
            return
        needs: dict[str, int] = {}
        there = True
        for gpu in crossing.pager.seat(client).memory:
            room = self._fresh(gpu)
            if room is None:
                return
            needs[gpu] = crossing.need(client, gpu)
            there = self._is_room(client, gpu, needs[gpu], room, turns, now) and there
        if there:
            crossing.held[client] = needs

    def _is_room(
        self, client: str, gpu: str, need: int, room: Room, turns: Turns, now: float
    ) -> bool:
        """There is room to come back to that GPU; if not, it is made if that can be."""
        beside = [n for n in turns.groups if n != client and self._is_working(n, gpu, turns)]
        held = self._crossing.held_on(gpu)
        should, must = missing_to_return(room, need, held, beside)
        if must > 0:
            self.short[client] = self.short.get(client, 0) + must
        for missing in dict.fromkeys((should, must)):
            if missing > 0 and self._page_out_for(client, gpu, missing, turns, now):
                break
        return must <= 0

    def _hold(self, now: float) -> None:
        """What was to be held is held once the GPU was weighed with it."""
        crossing = self._crossing
        for client in [n for n in crossing.held if crossing.place(n) is Place.OUT]:
            verdicts = {self._is_held(client, gpu) for gpu in crossing.held[client]}
            if False in verdicts:
                crossing.let_go(client, now)
            elif None not in verdicts:
                crossing.pager = crossing.pager.hold(client, crossing.held[client], now)

    def _is_held(self, client: str, gpu: str) -> bool | None:
        """What is to be held on a GPU is; None: not known yet."""
        stand, room = self._gpus.stand(gpu), self._fresh(gpu)
        need = self._crossing.held[client][gpu]
        if stand is None or room is None or stand.stretch.held.get(client, 0) < need:
            return None
        return room.free >= sum(self._crossing.held_on(gpu).values())

    # For those who are there

    def _wanting(self, turns: Turns) -> list[str]:
        """Who is on the GPU, works, and may want more."""
        there = self._crossing.at(Place.RESIDENT)
        return [n for n in there if n in self.asks or works(n, turns)]

    def _go_on(self, client: str, turns: Turns, now: float) -> None:
        """Make room for all of its limit. Who begins waits for that, who is at work does not."""
        group = turns.groups[client]
        out = set(self._crossing.pager.seats) - set(self._crossing.at(Place.RESIDENT))
        waits = False
        for gpu in group.spec.shares:
            room = self._fresh(gpu)
            if room is None or client not in room.rows:
                waits = waits or self._is_to_be_read(client, gpu, now)
                continue
            missing = missing_to_go_on(room, client, self._crossing.held_on(gpu), out)
            if missing > 0:
                waits = self._page_out_for(client, gpu, missing, turns, now, part=True) or waits
                self.short[client] = self.short.get(client, 0) + missing
        if not waits or now - self._kept_since.get(client, now) > PATIENCE:
            self._served.add(client)
            self._kept_since.pop(client, None)
        elif client not in self._served and not any(gate.starting for gate in group):
            self.kept_back.add(client)
            self._kept_since.setdefault(client, now)

    def _is_to_be_read(self, client: str, gpu: str, now: float) -> bool:
        """A reading of that GPU with that client is to be had in a moment."""
        young = now - self._crossing.pager.seat(client).since < YOUNG
        return self._gpus.stand(gpu) is not None and (young or client in self._kept_before)

    # By paging out

    def _page_out_for(
        self, client: str, gpu: str, missing: int, turns: Turns, now: float, *, part: bool = False
    ) -> bool:
        """Have so many bytes come free on a GPU; False if that cannot be, nor any `part` of it."""
        leaving = self._crossing.at(Place.LEAVING)
        seats = self._crossing.pager.seats
        missing -= sum(seats[name].memory.get(gpu, 0) for name in leaving)
        if missing <= 0:
            return True
        coming = bool(part and leaving)
        may = self._may_go(gpu, turns, now) - {client}
        if not may:
            return coming
        reading = self._rooms.now({name: pids(turns.groups[name]) for name in may}, now)
        if reading is None:
            return True
        choice = self._choose(gpu, missing, may, reading, turns, now)
        if part and choice.short:
            choice = self._choose(gpu, missing - choice.short, may, reading, turns, now)
        begun = [self._leave(name, reading, now) for name in choice.out]
        return any(begun) or coming

    def _choose(
        self, gpu: str, missing: int, may: Collection[str], reading: Reading, turns: Turns,
        now: float,
    ) -> Choice:  # fmt: skip
        if missing <= 0:
            return Choice()
        crossing, room = self._crossing, self._fresh(gpu)
        for name in may:
            crossing.pager = crossing.pager.placed(name, reading.levels[name])
        wants = {name for name in may if name in self.asks or works(name, turns)}
        found = [
            replace(one, unspent={gpu: room.unspent(one.client) if room else 0})
            for one in crossing.pager.candidates(gpu, self.used, wants)
            if one.client in may
        ]
        host = crossing.pager.left_of(self._host(reading))
        return paging.choose(found, gpu, missing, host, now, self.settings.idle_after)

    def _may_go(self, gpu: str, turns: Turns, now: float) -> set[str]:
        """Idle clients with memory on a GPU that can be gated, and nothing speaks against."""
        if self.stays_put:
            return set()
        crossing, off = self._crossing, self.settings.off
        return {
            name
            for name in crossing.at(Place.RESIDENT)
            if (seat := crossing.pager.seat(name)).memory.get(gpu, 0) > 0
            and turns.ensemble.has(name)
            and name not in crossing.unfit
            and not any(off.get(each) for each in seat.memory)
            and now - self.used.get(name, seat.since) >= self.settings.idle_after
            and not any(gate.starting or gate.stopped for gate in turns.groups[name])
        }

    def _leave(self, client: str, reading: Reading, now: float, *, by_hand: bool = False) -> bool:
        levels = reading.levels[client]
        return self._crossing.leave(client, self._host(reading), levels, now, by_hand=by_hand)

    def _host(self, reading: Reading) -> paging.Rooms:
        """Host memory, with what paging may use of it."""
        bound = self.settings.bound(reading.total)
        gone = sum(
            seat.size
            for seat in self._crossing.pager.seats.values()
            if seat.place not in (Place.RESIDENT, Place.LEAVING)
        )
        return paging.Rooms({**reading.free, PAGING: bound - gone})

    def _fresh(self, gpu: str) -> Room | None:
        """That GPU as it was read after the last step there had ended."""
        stand = self._gpus.stand(gpu)
        if stand is None or stand.at <= self._crossing.moved.get(gpu, 0.0):
            return None
        return Room.of(stand)

    def _is_working(self, client: str, gpu: str, turns: Turns) -> bool:
        there = gpu in turns.groups[client].spec.shares
        return there and self._crossing.place(client) is Place.RESIDENT and works(client, turns)


def works(client: str, turns: Turns) -> bool:
    """It wants a GPU as far as the turns know, or takes no turns, so that nobody can tell."""
    ensemble = turns.ensemble
    if not ensemble.has(client):
        return True
    return any(ensemble.rotas[gpu].is_wanting(client) for gpu in ensemble.gpus(client))


def pids(group: Group) -> tuple[int, ...]:
    """The processes of a client."""
    return tuple(process.pid for process in group.processes)
