"""The pager over whole lives: it never loses a client and never overfills a GPU or the host.

`World` is a node that knows nothing of the pager: memory is where the steps put it, copies grow as
they are made, other programs take and give host memory, steps fail, and ours are killed.
"""

from __future__ import annotations

import os
from collections.abc import Callable

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from rota.memory.pager import Pager, PagingRefused, Place
from rota.memory.paging import Rooms, choose

RANDOM = os.environ.get("ROTA_EXAMPLES")
GPUS = {"G": 100, "H": 60}
HOST = {"host": 130, "pods": 110, "pod-1": 75}
LEVELS = (("host",), ("host", "pods"), ("host", "pods", "pod-1"))
MARGIN = 5
NAMES = st.sampled_from("abcd")
TAKES = st.integers(10, 70)


class World:
    """GPUs and a host. A client's memory may be in both while it is on its way."""

    def __init__(self) -> None:
        self.on_gpu: dict[str, dict[str, int]] = {}
        self.ballast: dict[str, dict[str, int]] = {}
        self.copies: dict[str, int] = {}
        self.levels: dict[str, tuple[str, ...]] = {}
        self.others = 0

    def free(self, gpu: str) -> int:
        taken = [*self.on_gpu.values(), *self.ballast.values()]
        return GPUS[gpu] - sum(memory.get(gpu, 0) for memory in taken)

    def free_host(self, level: str) -> int:
        mine = sum(size for name, size in self.copies.items() if level in self.levels[name])
        return HOST[level] - mine - (self.others if level == "host" else 0)

    def rooms(self) -> Rooms:
        return Rooms({level: self.free_host(level) for level in HOST}, MARGIN)

    def forget(self, client: str) -> None:
        for part in (self.on_gpu, self.ballast, self.copies, self.levels):
            part.pop(client, None)


class Node(RuleBasedStateMachine):
    """Everything that can happen, in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.world = World()
        self.pager = Pager()
        self.truth: dict[str, dict[str, int]] = {}
        self.failed: set[str] = set()
        self.now = 0.0

    def at(self, *places: Place) -> list[str]:
        return [name for name, seat in self.pager.seats.items() if seat.place in places]

    def pick(self, data: st.DataObject, *places: Place) -> str:
        return data.draw(st.sampled_from(self.at(*places)))

    # Clients

    @initialize(sizes=st.lists(TAKES, min_size=2, max_size=4), levels=st.sampled_from(LEVELS))
    def some_are_there(self, sizes: list[int], levels: tuple[str, ...]) -> None:
        for client, size in zip("abcd", sizes, strict=False):
            self.a_client_comes(client, levels, never=False, size=size)

    @precondition(lambda self: len(self.truth) < 4)
    @rule(
        client=NAMES,
        levels=st.sampled_from(LEVELS),
        never=st.sampled_from([False, False, False, True]),
        size=TAKES,
    )
    def a_client_comes(self, client: str, levels: tuple[str, ...], never: bool, size: int) -> None:
        if client not in self.truth:
            memory = {"G": min(size, self.world.free("G"))}
            self.world.on_gpu[client] = memory
            self.world.levels[client] = levels
            self.truth[client] = dict(memory)
            self.pager = self.pager.joined(client, levels, self.now, never=never)
            self.pager = self.pager.used(client, memory)
        assert self.pager.joined(client, (), self.now) is self.pager

    @precondition(lambda self: self.at(Place.RESIDENT))
    @rule(data=st.data(), gpu=st.sampled_from("GH"), size=TAKES)
    def a_resident_client_allocates(self, data: st.DataObject, gpu: str, size: int) -> None:
        client = self.pick(data, Place.RESIDENT)
        mine = self.world.on_gpu[client]
        mine[gpu] = mine.get(gpu, 0) + min(size, self.world.free(gpu))
        self.truth[client] = dict(mine)
        self.pager = self.pager.used(client, mine)

    @precondition(lambda self: len(self.truth) == 4)
    @rule(client=NAMES)
    def a_client_ends(self, client: str) -> None:
        self.world.forget(client)
        self.truth.pop(client, None)
        self.failed.discard(client)
        self.pager = self.pager.gone(client)

    @rule(size=st.integers(0, 60))
    def other_programs_use_host_memory(self, size: int) -> None:
        """Whatever is there, but they do not take what is promised to copies on their way."""
        coming = sum(
            self.pager.seat(client).size - self.world.copies[client]
            for client in self.at(Place.LEAVING)
        )
        self.world.others = min(size, self.world.others + self.world.free_host("host") - coming)

    @rule(seconds=st.floats(0, 30))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds

    # Out

    @precondition(lambda self: self.at(Place.RESIDENT))
    @rule(data=st.data(), by_hand=st.booleans())
    def a_page_out_is_asked_for(self, data: st.DataObject, by_hand: bool) -> None:
        client = self.pick(data, Place.RESIDENT)
        seat, rooms = self.pager.seat(client), self.world.rooms()
        try:
            self.pager = self.pager.leave(client, rooms, self.now, by_hand=by_hand)
        except PagingRefused:
            fits = self.pager.left_of(rooms).fits(seat.size, seat.levels)
            fresh = self.now < seat.stays_until and not by_hand
            assert seat.never or seat.unfit or fresh or not fits
            return
        assert not seat.never
        self.world.copies[client] = 0

    @rule(needed=st.integers(1, 80), gpu=st.sampled_from("GH"))
    def somebody_needs_memory(self, needed: int, gpu: str) -> None:
        """The choice is acted upon as it is: what it names may all begin at once."""
        rooms = self.world.rooms()
        candidates = self.pager.candidates(gpu, {})
        choice = choose(candidates, gpu, needed, self.pager.left_of(rooms), self.now, 20.0)
        for client in choice.out:
            self.pager = self.pager.leave(client, rooms, self.now)
            self.world.copies[client] = 0

    @precondition(lambda self: self.at(Place.LEAVING))
    @rule(data=st.data(), part=st.integers(1, 3))
    def a_copy_grows(self, data: st.DataObject, part: int) -> None:
        client = self.pick(data, Place.LEAVING)
        rest = self.pager.seat(client).size - self.world.copies[client]
        self.world.copies[client] += rest // part

    @precondition(lambda self: self.at(Place.LEAVING))
    @rule(data=st.data())
    def a_page_out_ends_well(self, data: st.DataObject) -> None:
        client = self.pick(data, Place.LEAVING)
        self.is_out(client)
        self.pager = self.pager.left(client, self.now)

    @precondition(lambda self: self.at(Place.LEAVING))
    @rule(data=st.data(), unfit=st.booleans())
    def a_page_out_fails(self, data: st.DataObject, unfit: bool) -> None:
        client = self.pick(data, Place.LEAVING)
        del self.world.copies[client]
        self.pager = self.pager.stayed(client, self.now, "failed", unfit=unfit)

    # In

    @precondition(lambda self: self.at(Place.OUT))
    @rule(data=st.data())
    def room_is_held(self, data: st.DataObject) -> None:
        client = self.pick(data, Place.OUT)
        need = self.truth[client]
        got = {gpu: min(size, self.world.free(gpu)) for gpu, size in need.items()}
        if got != need:
            with pytest.raises(PagingRefused):
                self.pager.hold(client, got, self.now)
            return
        self.world.ballast[client] = got
        self.pager = self.pager.hold(client, got, self.now)

    @precondition(lambda self: self.at(Place.HELD))
    @rule(data=st.data())
    def room_is_let_go(self, data: st.DataObject) -> None:
        client = self.pick(data, Place.HELD)
        del self.world.ballast[client]
        self.pager = self.pager.let_go(client, self.now)

    @precondition(lambda self: self.at(Place.OUT, Place.HELD))
    @rule(data=st.data())
    def a_restore_begins_if_it_may(self, data: st.DataObject) -> None:
        client = self.pick(data, Place.OUT, Place.HELD)
        try:
            self.pager = self.pager.enter(client, self.now)
        except PagingRefused:
            assert client not in self.world.ballast
            return
        self.world.on_gpu[client] = self.world.ballast.pop(client)

    @precondition(lambda self: self.at(Place.ENTERING))
    @rule(data=st.data(), well=st.booleans())
    def a_restore_ends(self, data: st.DataObject, well: bool) -> None:
        client = self.pick(data, Place.ENTERING)
        if well:
            del self.world.copies[client]
            self.pager = self.pager.entered(client, self.now)
        else:
            self.world.on_gpu[client] = {}
            self.pager = self.pager.put_back(client, self.now, "failed")

    # What nobody wished for

    @precondition(lambda self: self.at(Place.LEAVING, Place.ENTERING))
    @rule(data=st.data())
    def the_driver_loses_a_client(self, data: st.DataObject) -> None:
        client = self.pick(data, Place.LEAVING, Place.ENTERING)
        self.failed.add(client)
        self.pager = self.pager.lose(client, self.now, "lost")

    @precondition(lambda self: self.at(Place.LEAVING, Place.HELD, Place.ENTERING))
    @rule(data=st.data())
    def ours_are_killed_and_start_again(self, data: st.DataObject) -> None:
        """Ballast is free at once; the driver has ended its steps one way or the other."""
        self.world.ballast.clear()
        for client in self.at(Place.HELD):
            self.pager = self.pager.found(client, Place.OUT, self.now)
        for client in self.at(Place.LEAVING, Place.ENTERING):
            place = data.draw(st.sampled_from([Place.RESIDENT, Place.OUT]))
            if place is Place.OUT:
                self.is_out(client)
            else:
                self.world.copies.pop(client)
            self.pager = self.pager.found(client, place, self.now)

    @rule(client=NAMES, data=st.data())
    def a_step_that_makes_no_sense_changes_nothing(self, client: str, data: st.DataObject) -> None:
        steps: dict[Place, Callable[[], Pager]] = {
            Place.LEAVING: lambda: self.pager.left(client, self.now),
            Place.HELD: lambda: self.pager.enter(client, self.now),
            Place.ENTERING: lambda: self.pager.entered(client, self.now),
        }
        before = self.pager
        place = data.draw(st.sampled_from(list(steps)))
        if client not in self.at(place):
            with pytest.raises(PagingRefused):
                steps[place]()
        assert self.pager is before

    def is_out(self, client: str) -> None:
        self.world.on_gpu[client] = {}
        self.world.copies[client] = self.pager.seat(client).size

    # What always holds

    @invariant()
    def no_client_is_lost_but_by_the_driver(self) -> None:
        assert set(self.pager.seats) == set(self.truth)
        assert set(self.at(Place.LOST)) == self.failed

    @invariant()
    def what_a_client_had_is_known(self) -> None:
        for client, memory in self.truth.items():
            assert self.pager.seat(client).memory == memory

    @invariant()
    def no_gpu_is_overfilled(self) -> None:
        for gpu in GPUS:
            assert self.world.free(gpu) >= 0
            assert self.pager.resident(gpu) <= GPUS[gpu]

    @invariant()
    def host_memory_is_never_overfilled(self) -> None:
        """Nor will it be, when all copies that are being made are there. Those of lost ones end."""
        for level in HOST:
            ended = sum(
                self.pager.seat(client).size - self.world.copies[client]
                for client in self.at(Place.LOST)
                if level in self.world.levels[client]
            )
            others = self.world.others if level == "host" else 0
            assert self.world.free_host(level) >= 0
            assert self.pager.copied(level) - ended + others <= HOST[level]

    def teardown(self) -> None:
        """Everybody who is out comes back, once there is room."""
        for client in self.at(Place.LEAVING):
            self.pager = self.pager.left(client, self.now)
        for client in self.at(Place.ENTERING):
            self.pager = self.pager.put_back(client, self.now, "failed")
        for client in self.at(Place.OUT):
            self.pager = self.pager.hold(client, self.truth[client], self.now)
        for client in self.at(Place.HELD):
            self.pager = self.pager.enter(client, self.now).entered(client, self.now)
        assert set(self.at(Place.RESIDENT)) == set(self.truth) - self.failed
        assert all(self.pager.seat(client).memory == had for client, had in self.truth.items())


Node.TestCase.settings = settings(
    max_examples=int(RANDOM or 60),
    stateful_step_count=40,
    derandomize=not RANDOM,
    deadline=None,
    database=None,
)
TestNode = Node.TestCase
