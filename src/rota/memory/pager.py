"""How a client goes to host memory and comes back, and is never lost on the way.

`Pager` is the truth about who is out: the driver's lists do not name a process that is paged out.
Each transition is a plain function from one pager to the next, made when its step was taken or has
ended; what is not allowed is refused with a `RotaError` and changes nothing.

    resident ─ leave ─> leaving ─ left ─> out ─ hold ─> held ─ enter ─> entering ─ entered ─> resident
                 │ stayed: resident, runs on      ^ let_go │                │ put_back: out, as before
                 └ lose: lost                     └────────┘                └ lose: lost

A client is restored only from `held`: room that was made can be taken by another, room that is held
cannot. A restore that meets too little memory loses the process for good.
"""

from __future__ import annotations

import enum
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace

from rota.errors import RotaError
from rota.memory.paging import Candidate, Rooms, Stays, stays_until
from rota.memory.sizes import shown


class PagingRefused(RotaError):
    """A step that may not be taken now. Nothing has changed."""


class Place(enum.StrEnum):
    """Where a client's GPU memory is."""

    RESIDENT = "resident"
    LEAVING = "leaving"  # the copy to host memory is being made
    OUT = "out"
    HELD = "held"  # out, and room for it is held on its GPUs
    ENTERING = "entering"  # the copy is being brought back
    LOST = "lost"  # the driver lost it; it holds what it held until it is gone


MOVING = frozenset({Place.LEAVING, Place.ENTERING})


@dataclass(frozen=True, slots=True)
class Seat:
    """One client as the pager knows it. Times in seconds on the caller's clock.

    Attributes:
        client: its id.
        place: where its memory is.
        memory: GPU → bytes: what it uses there, or needs to come back.
        levels: the levels of host memory that its copy is charged to.
        since: when it came to this place.
        seconds_out: how long its last page-out took.
        stays_until: it is not paged out before this.
        never: `rota.dev/paging: never`.
        unfit: the driver has said that it cannot be checkpointed.
        error: why the last step failed; empty when it did not.
    """

    client: str
    place: Place = Place.RESIDENT
    memory: Mapping[str, int] = field(default_factory=dict)
    levels: tuple[str, ...] = ()
    since: float = 0.0
    seconds_out: float = 0.0
    stays_until: float = float("-inf")
    never: bool = False
    unfit: bool = False
    error: str = ""

    @property
    def size(self) -> int:
        """Its memory on all GPUs, in bytes."""
        return sum(self.memory.values())


@dataclass(frozen=True, slots=True)
class Pager:
    """All clients and where their memory is.

    Attributes:
        seats: client → seat, in the order in which they came.
    """

    seats: Mapping[str, Seat] = field(default_factory=dict)

    # Who is there

    def seat(self, client: str) -> Seat:
        """The seat of a client.

        Raises:
            PagingRefused: there is no such client.
        """
        if client not in self.seats:
            raise PagingRefused(f"{client} is no client here", where=client)
        return self.seats[client]

    def joined(
        self, client: str, levels: tuple[str, ...], now: float, *, never: bool = False
    ) -> Pager:
        """A client appears, resident. One that is known keeps its seat."""
        if client in self.seats:
            return self
        return self._with(Seat(client, levels=levels, since=now, never=never))

    def used(self, client: str, memory: Mapping[str, int]) -> Pager:
        """What a resident client uses now. Of any other the last figure is kept: nobody sees it."""
        seat = self.seat(client)
        if seat.place is not Place.RESIDENT:
            return self
        return self._with(replace(seat, memory=dict(memory)))

    def placed(self, client: str, levels: tuple[str, ...]) -> Pager:
        """What its copy is charged to, as it was found now."""
        return self._with(replace(self.seat(client), levels=levels))

    def marked(self, client: str, *, unfit: bool = False, error: str = "") -> Pager:
        """Why it is not paged out, or that it never will be; its place stays what it is."""
        seat = self.seat(client)
        return self._with(replace(seat, unfit=unfit or seat.unfit, error=error or seat.error))

    def annotated(self, client: str, *, never: bool) -> Pager:
        """Whether it may be paged out from now on; who is out already stays so."""
        seat = self.seat(client)
        return self if seat.never is never else self._with(replace(seat, never=never))

    def gone(self, client: str) -> Pager:
        """A client's processes have ended, wherever it was. One that is unknown is no error."""
        return Pager({name: seat for name, seat in self.seats.items() if name != client})

    def candidates(
        self, gpu: str, last_used: Mapping[str, float], wants: Collection[str] = ()
    ) -> tuple[Candidate, ...]:
        """Those who have memory on a GPU, as `paging.choose` takes them.

        Args:
            gpu: its UUID.
            last_used: client → when it last wanted a GPU or worked on one; else since it came.
            wants: who wants a GPU now or has the turn.
        """
        return tuple(
            Candidate(
                seat.client,
                seat.memory,
                last_used.get(seat.client, seat.since),
                seat.levels,
                wants=seat.client in wants,
                stays_until=seat.stays_until,
                moving=seat.place is not Place.RESIDENT,
                never=seat.never,
                unfit=seat.unfit,
            )
            for seat in self.seats.values()
            if gpu in seat.memory
        )

    # Out

    def leave(self, client: str, rooms: Rooms, now: float, *, by_hand: bool = False) -> Pager:
        """A page-out begins. `rooms` is host memory as measured now.

        Somebody who pages out by hand may do so although the client came back a moment ago.

        Raises:
            PagingRefused: it is not resident, is never to be paged out, cannot be checkpointed,
                came back a moment ago, or host memory has no room beside the copies being made.
        """
        seat = self._at(client, Place.RESIDENT)
        if seat.never:
            raise _refusal(seat, Stays.NEVER, "it is annotated `rota.dev/paging: never`")
        if seat.unfit:
            raise _refusal(seat, Stays.UNFIT, "it uses what the driver cannot checkpoint")
        if now < seat.stays_until and not by_hand:
            raise _refusal(seat, Stays.FRESH, f"it stays {seat.stays_until - now:.1f} s more")
        if not self.left_of(rooms).fits(seat.size, seat.levels):
            need = f"{shown(seat.size)} and a margin of {shown(rooms.margin)}"
            raise _refusal(
                seat, Stays.HOST, f"the host or one of its cgroups has no room for {need}"
            )
        return self._with(replace(seat, place=Place.LEAVING, since=now, error=""))

    def begun(self, client: str, memory: Mapping[str, int], now: float) -> Pager:
        """The copy is begun now, of so much: its gates are closed, and it can take no more."""
        seat = self._at(client, Place.LEAVING)
        return self._with(replace(seat, memory=dict(memory), since=now))

    def carried(self, client: str, memory: Mapping[str, int]) -> Pager:
        """Only a part of it is out."""
        seat = self._at(client, Place.OUT)
        return self._with(replace(seat, memory=dict(memory)))

    def left_of(self, rooms: Rooms) -> Rooms:
        """Host memory less all of the copies that are being made, however far they have got."""
        for seat in self.seats.values():
            if seat.place is Place.LEAVING:
                rooms = rooms.less(seat.size, seat.levels)
        return rooms

    def left(self, client: str, now: float) -> Pager:
        """The page-out has ended well: it holds no GPU memory any more."""
        seat = self._at(client, Place.LEAVING)
        took = max(0.0, now - seat.since)
        return self._with(replace(seat, place=Place.OUT, since=now, seconds_out=took))

    def stayed(self, client: str, now: float, error: str, *, unfit: bool = False) -> Pager:
        """The page-out failed and the client runs on. `unfit`: it never will go; remembered."""
        seat = self._at(client, Place.LEAVING)
        back = replace(
            seat, place=Place.RESIDENT, since=now, error=error, unfit=unfit or seat.unfit
        )
        return self._with(back)

    # In

    def hold(self, client: str, held: Mapping[str, int], now: float) -> Pager:
        """Room for a client has been taken and is held: `held` bytes on each GPU.

        Raises:
            PagingRefused: it is not out, or what is held is less than it needs.
        """
        seat = self._at(client, Place.OUT)
        for gpu, need in seat.memory.items():
            if held.get(gpu, 0) < need:
                what = (
                    f"{client} needs {shown(need)} of {gpu}, and {shown(held.get(gpu, 0))} is held"
                )
                hint = "page out somebody else, or wait until memory is given back"
                raise PagingRefused(what, where=client, hint=hint)
        return self._with(replace(seat, place=Place.HELD, since=now))

    def let_go(self, client: str, now: float) -> Pager:
        """The room is not held any more (somebody in greater need has it)."""
        return self._with(replace(self._at(client, Place.HELD), place=Place.OUT, since=now))

    def enter(self, client: str, now: float) -> Pager:
        """A restore begins, into the room that is held.

        Raises:
            PagingRefused: no room is held for it.
        """
        return self._with(
            replace(self._at(client, Place.HELD), place=Place.ENTERING, since=now, error="")
        )

    def entered(self, client: str, now: float) -> Pager:
        """The restore has ended well: it is resident, and stays as long as the swap took."""
        seat = self._at(client, Place.ENTERING)
        until = stays_until(now, seat.seconds_out, max(0.0, now - seat.since))
        return self._with(replace(seat, place=Place.RESIDENT, since=now, stays_until=until))

    def put_back(self, client: str, now: float, error: str) -> Pager:
        """The restore was refused and the client is out as before; its room is not held any more."""
        seat = self._at(client, Place.ENTERING)
        return self._with(replace(seat, place=Place.OUT, since=now, error=error))

    # What nobody wished for

    def lose(self, client: str, now: float, error: str) -> Pager:
        """The driver lost the client in the middle of a step. It is shown until it is gone."""
        seat = self.seat(client)
        if seat.place not in MOVING:
            raise PagingRefused(
                f"{client} is {seat.place}, and only a step can lose a client", where=client
            )
        return self._with(replace(seat, place=Place.LOST, since=now, error=error))

    def found(self, client: str, place: Place, now: float) -> Pager:
        """After a restart of ours: where the driver says that a client is. Nothing is held then.

        Raises:
            PagingRefused: `place` is none that a driver can tell of.
        """
        if place not in (Place.RESIDENT, Place.OUT, Place.LOST):
            raise PagingRefused(f"no driver says that a client is {place}", where=client)
        seat = self.seat(client)
        if seat.place is place:
            return self
        return self._with(replace(seat, place=place, since=now))

    # The figures

    def resident(self, gpu: str) -> int:
        """The bytes of this GPU that clients have or that are held for them."""
        return sum(s.memory.get(gpu, 0) for s in self.seats.values() if s.place is not Place.OUT)

    def copied(self, level: str) -> int:
        """The bytes of copies that are charged to a level of host memory, or will be."""
        return sum(
            seat.size
            for seat in self.seats.values()
            if level in seat.levels and seat.place is not Place.RESIDENT
        )

    def _at(self, client: str, place: Place) -> Seat:
        seat = self.seat(client)
        if seat.place is not place:
            raise PagingRefused(f"{client} is {seat.place}, not {place}", where=client)
        return seat

    def _with(self, seat: Seat) -> Pager:
        return Pager({**self.seats, seat.client: seat})


def _refusal(seat: Seat, why: Stays, reason: str) -> PagingRefused:
    return PagingRefused(f"{seat.client} is not paged out ({why}): {reason}", where=seat.client)
