"""The way out and back: what the gates do for one client, and what its ends mean.

Every step is noted before it is taken. What it came to is read from the gates: a step that failed
leaves a client on the GPU, out as before, or lost, as the driver says.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Protocol

from rota.gatekeeper.ballast import Stand
from rota.gatekeeper.gate import Gate
from rota.gatekeeper.group import Group, State
from rota.gatekeeper.journal import JournalError
from rota.gatekeeper.lanes import Call
from rota.gatekeeper.needs import Room
from rota.gatekeeper.notes import Notes
from rota.gatekeeper.paged import PagedJournal
from rota.gatekeeper.rescue import LOST
from rota.gpu.doors import GateState, GateUnsupported
from rota.memory.pager import Pager, PagingRefused, Place
from rota.memory.paging import Rooms

GIVEN_UP = 10.0
"""Seconds after which a page-out is given up whose client's gates do not close."""

AGAIN = 1.0
"""Seconds after which a restore that was refused is tried again; twice as long each time."""

LONGEST_WAIT = 60.0

AWAY = frozenset({Place.LEAVING, Place.OUT, Place.LOST})
"""Places of clients that can have no turn."""

COMING = frozenset({Place.HELD, Place.ENTERING})


class Gpus(Protocol):
    """What is known of the GPUs' memory (`rota.gatekeeper.memory`)."""

    def stand(self, gpu: str) -> Stand | None:
        """What the last weighing of a GPU came to."""
        ...


class Crossing:
    """All clients on their way, and where everybody is.

    Attributes:
        pager: where everybody's memory is.
        notes: what is noted of it.
        paused: clients that stay out until they are let back.
        wanted_back: clients that come back though they do not want the GPU.
        unfit: clients of which a part cannot go: none of it is tried again.
        moved: GPU → when a step there ended last.
        held: client → GPU → bytes that are held for it, or are to be.
    """

    def __init__(
        self, journal: PagedJournal, gpus: Gpus, wall: Callable[[], float] = time.time
    ) -> None:
        self.pager = Pager()
        self.notes = Notes(journal, wall)
        self.paused = self.notes.paused
        self.wanted_back: set[str] = set()
        self.unfit: set[str] = set()
        self.moved: dict[str, float] = {}
        self.held: dict[str, dict[str, int]] = {}
        self._gpus = gpus
        self._under_way: set[str] = set()
        self._failed: dict[str, tuple[int, float]] = {}

    def place(self, client: str) -> Place:
        """Where its memory is."""
        seat = self.pager.seats.get(client)
        return seat.place if seat else Place.RESIDENT

    def at(self, *places: Place) -> list[str]:
        """Who is at one of these places."""
        return [name for name, seat in self.pager.seats.items() if seat.place in places]

    @property
    def busy(self) -> bool:
        """Somebody is not simply on the GPU."""
        away = any(s.place is not Place.RESIDENT for s in self.pager.seats.values())
        return bool(self.notes) or away

    def back(self, groups: Mapping[str, Group]) -> list[str]:
        """Those whose step has ended and was not seen to."""
        there = [client for client in self._under_way if client in groups]
        return [client for client in there if not any(gate.paging for gate in groups[client])]

    def may_try(self, client: str, now: float) -> bool:
        """It may be tried to bring it back: it was not refused a moment ago."""
        return now >= self._failed.get(client, (0, 0.0))[1]

    def forget(self, client: str) -> None:
        """It is no more."""
        self.pager = self.pager.gone(client)
        for some in (self.wanted_back, self.unfit, self._under_way):
            some.discard(client)
        for known in (self.held, self._failed):
            known.pop(client, None)
        if not self.notes.of(client):
            self.paused.discard(client)

    def forgive(self, client: str) -> None:
        """What failed before is tried again at once."""
        self._failed.pop(client, None)

    # Out

    def leave(
        self, client: str, rooms: Rooms, levels: tuple[str, ...], now: float, *, by_hand: bool
    ) -> bool:
        """It is to go, once its gates are closed; False where it may not, with the reason kept."""
        self.pager = self.pager.placed(client, levels)
        if client in self.unfit:
            self.pager = self.pager.marked(client, unfit=True)
        try:
            self.pager = self.pager.leave(client, rooms, now, by_hand=by_hand)
        except PagingRefused as refused:
            self.pager = self.pager.marked(client, error=refused.what)
            return False
        return True

    def tend(self, client: str, group: Group, gated: bool, now: float) -> None:
        """Begin the copy when every gate is closed, and see what has become of a step."""
        place = self.place(client)
        if client in self._under_way:
            if not any(gate.paging for gate in group):
                self._under_way.discard(client)
                self.moved |= dict.fromkeys(self.pager.seat(client).memory, now)
                (self._has_left if place is Place.LEAVING else self._has_entered)(
                    client, group, now
                )
        elif place is Place.LEAVING:
            self._go(client, group, gated, now)

    def _go(self, client: str, group: Group, gated: bool, now: float) -> None:
        if not gated or now - self.pager.seat(client).since > GIVEN_UP:
            self._stayed(client, group, now, group.ungated or "its gates do not close")
            return
        if group.state is not State.CLOSED or not all(g.closed and not g.calling for g in group):
            return
        stands = self._stands_of(group)
        if stands is None:
            return
        try:
            for gate in group:
                memory = self._memory_of(client, gate, stands)
                self.notes.begin(gate.process, client, memory, client in self.paused)
        except JournalError as error:
            self._stayed(client, group, now, str(error))
            return
        self.pager = self.pager.begun(client, self.notes.memory(client), now)
        for gate in group:
            gate.page(Call.PAGE_OUT)
        self._under_way.add(client)

    def _stands_of(self, group: Group) -> dict[str, Stand] | None:
        """Its GPUs as they were read after its gates had closed: it may have allocated till then."""
        stands = {gpu: self._gpus.stand(gpu) for gpu in group.spec.shares}
        found = {gpu: s for gpu, s in stands.items() if s and s.shares and s.at > group.since}
        return found if len(found) == len(stands) else None

    def _memory_of(self, client: str, gate: Gate, stands: Mapping[str, Stand]) -> dict[str, int]:
        """What a process has; where the driver does not tell it alone, all that its client has."""
        pid, memory = gate.process.pid, {}
        for gpu, stand in stands.items():
            assert stand.shares is not None
            rows = {row.client: row.use for row in stand.shares.rows}
            memory[gpu] = stand.processes.get(pid, rows.get(client, 0))
        return memory

    def _has_left(self, client: str, group: Group, now: float) -> None:
        out = [gate for gate in group if gate.paged]
        if self._is_lost(client, group, now):
            return
        if not out:
            unfit = any(g.stumbled and isinstance(g.stumbled.error, GateUnsupported) for g in group)
            self._stayed(client, group, now, _why(group), unfit=unfit)
            return
        self.pager = self.pager.left(client, now)
        for gate in group:
            if gate.paged:
                seconds = self.pager.seat(client).seconds_out
                self.notes.change(gate.process, step="", seconds=seconds)
            else:
                self.notes.erase(gate.process)
        if len(out) < len(group):  # those that went come back, and it is not tried again
            self.unfit.add(client)
            self.paused.discard(client)
            self.wanted_back.add(client)
            self.pager = self.pager.carried(client, self.notes.memory(client))
            self.pager = self.pager.marked(client, error=_why(group))

    def _stayed(
        self, client: str, group: Group, now: float, why: str, *, unfit: bool = False
    ) -> None:
        """It runs on."""
        self.pager = self.pager.stayed(client, now, why, unfit=unfit)
        self.paused.discard(client)
        for gate in group:
            self.notes.erase(gate.process)

    # In

    def enter(self, client: str, group: Group, now: float) -> bool:
        """Begin to bring it back into the room that is held; False where it cannot be noted."""
        self.pager = self.pager.enter(client, now)
        out = [gate for gate in group if gate.paged]
        noted = [self.notes.change(gate.process, step="in") for gate in out]
        if not all(noted):
            self._refuse(client, "it cannot be noted", now)
            return False
        for gate in out:
            gate.page(Call.PAGE_IN)
        self._under_way.add(client)
        return True

    def let_go(self, client: str, now: float, why: str = "") -> None:
        """Its room is not held any more; with a reason, it is not tried again at once."""
        self.held.pop(client, None)
        if self.place(client) is Place.HELD:
            self.pager = self.pager.let_go(client, now)
        if why:
            self._back_off(client, now)

    def _has_entered(self, client: str, group: Group, now: float) -> None:
        if self._is_lost(client, group, now):
            return
        for gate in group:
            if gate.paged:
                self.notes.change(gate.process, step="")
            else:
                self.notes.erase(gate.process)
        if any(gate.paged for gate in group):
            self._refuse(client, _why(group), now)
            self.pager = self.pager.carried(client, self.notes.memory(client))
            return
        self.pager = self.pager.entered(client, now)
        self.held.pop(client, None)
        self.forgive(client)
        self.paused.discard(client)
        self.wanted_back.discard(client)

    def _refuse(self, client: str, why: str, now: float) -> None:
        self.pager = self.pager.put_back(client, now, why)
        self.held.pop(client, None)
        self._back_off(client, now)

    def _back_off(self, client: str, now: float) -> None:
        """Wait longer each time."""
        times = self._failed.get(client, (0, 0.0))[0] + 1
        self._failed[client] = times, now + min(LONGEST_WAIT, AGAIN * 2 ** (times - 1))

    def _is_lost(self, client: str, group: Group, now: float) -> bool:
        """The driver lost it: said, and kept in mind until its processes have ended."""
        failed = [gate for gate in group if gate.stumbled]
        if not any(g.stumbled and g.stumbled.state in (None, GateState.FAILED) for g in failed):
            return False
        self.pager = self.pager.lose(client, now, f"the driver lost it: {_why(group)}")
        self.held.pop(client, None)
        for gate in group:
            self.notes.change(gate.process, step=LOST)
        return True

    # Room for the way back

    def need(self, client: str, gpu: str) -> int:
        """What a client that is out needs on a GPU to come back, in bytes."""
        if client in self.held:
            return self.held[client].get(gpu, 0)
        sizes = [size for note in self.notes.of(client) if (size := note.memory.get(gpu, 0))]
        room = Room.of(self._gpus.stand(gpu))
        return room.back(sum(sizes), len(sizes)) if room and sizes else sum(sizes)

    def held_on(self, gpu: str) -> dict[str, int]:
        """Client → what is held there for it, or is to be."""
        return {name: memory[gpu] for name, memory in self.held.items() if memory.get(gpu)}

    def is_free_for(self, client: str) -> bool:
        """All gates are closed, and what it needs is free on each of its GPUs."""
        since = self.pager.seat(client).since
        for gpu, need in self.held.get(client, {}).items():
            stand = self._gpus.stand(gpu)
            if stand is None or stand.occupancy is None or stand.at < since:
                return False
            if stand.stretch.restoring.get(client, 0) < need or stand.occupancy.free < need:
                return False
        return client in self.held


def _why(group: Group) -> str:
    """Why a step failed."""
    return next((str(gate.stumbled.error) for gate in group if gate.stumbled), "")
