"""The pager over whole lives of a GPU: it never loses a client, nor overfills the GPU or the host.

`paging_world` keeps the truth: it notes a fault when a restore begins without its room, or beside a
gate that is open, when a copy finds no room on the host, or when a kill is not put right.
"""

from __future__ import annotations

import os

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from rota.gpu.doors import GateState
from rota.memory.pager import PagingRefused
from tests.gatekeeper.paging_world import CONTEXT, HOST, IDLE, MIB, Stage

RANDOM = os.environ.get("ROTA_EXAMPLES")
NAMES = st.sampled_from("abcd")
SIZES = st.integers(100, 5000).map(lambda size: size * MIB)


class Life(RuleBasedStateMachine):
    """Everything that can happen, in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.patch = pytest.MonkeyPatch()
        self.stage = Stage(self.patch)
        self.world = self.stage.world

    @initialize(count=st.integers(1, 4), oversubscribe=st.sampled_from([1.0, 1.5, 3.0]))
    def some_are_there(self, count: int, oversubscribe: float) -> None:
        self.stage.oversubscribe = oversubscribe
        for name in "abcd"[:count]:
            self.stage.client(name)
            self.stage.play(0.05)

    @rule(name=NAMES, count=st.integers(1, 2), never=st.sampled_from([False, False, True]))
    def a_client_comes(self, name: str, count: int, never: bool) -> None:
        if not self.stage.of(name) and self.world.free >= count * CONTEXT:
            self.stage.never.discard(name)
            self.stage.client(name, count, never=never)

    @rule(name=NAMES)
    def a_client_ends(self, name: str) -> None:
        if len(self.stage.clients) > 1:
            for puppet in self.stage.of(name):
                puppet.gone = True
            self.stage.tell()

    @rule(name=NAMES, wanting=st.booleans())
    def a_client_wakes_or_sleeps(self, name: str, wanting: bool) -> None:
        self.stage.wish(name, wanting)

    @rule(name=NAMES, size=SIZES)
    def a_client_allocates(self, name: str, size: int) -> None:
        self.stage.grab(name, size)

    @rule(name=NAMES, unfit=st.booleans())
    def a_process_uses_what_cannot_go(self, name: str, unfit: bool) -> None:
        for puppet in self.stage.of(name)[:1]:
            puppet.unfit = unfit

    @rule(seconds=st.sampled_from([0.05, 0.2, 1.2 * IDLE]))
    def time_passes(self, seconds: float) -> None:
        self.stage.play(seconds, 0.02)

    @precondition(lambda self: self.stage.hands.paging)
    @rule(place=st.integers(0, 3))
    def a_step_ends(self, place: int) -> None:
        self.stage.hands.finish(place % len(self.stage.hands.paging))
        self.stage.play(0.1, 0.02)

    @rule(size=st.integers(0, 12_000))
    def other_programs_use_host_memory(self, size: int) -> None:
        """They do not take what is promised to copies on their way."""
        coming = sum(self.world.puppets[process].size for process, _ in self.stage.hands.paging)
        promised = sum(
            sum(p.size for p in self.stage.of(name))
            for name in self.stage.clients
            if self.stage.place(name) == "leaving"
        )
        room = self.world.free_host + self.world.others - max(coming, promised)
        self.world.others = max(0, min(size * MIB, room))

    @rule(name=NAMES, out=st.booleans())
    def somebody_pages_by_hand(self, name: str, out: bool) -> None:
        if self.stage.of(name):
            try:
                self.stage.paging.page(name, self.stage.conductor, out=out)
            except PagingRefused:
                assert out

    @rule(finished=st.booleans())
    def the_gatekeeper_is_killed(self, finished: bool) -> None:
        self.stage.kill(finished=finished)

    @rule()
    def the_agent_goes_and_comes_back(self) -> None:
        self.stage.conductor.turn_off("no agent", self.world.now)
        self.stage.play(0.1, 0.02)
        self.stage.conductor.turn_on(self.world.now)
        self.stage.tell()

    @invariant()
    def nothing_went_wrong(self) -> None:
        assert self.world.faults == []
        assert self.world.free >= 0
        assert self.world.free_host >= 0
        assert self.world.others <= HOST

    @invariant()
    def who_is_out_is_noted(self) -> None:
        noted = self.stage.paged.read()
        for process, puppet in self.world.puppets.items():
            if puppet.state is GateState.PAGED_OUT and not puppet.gone:
                assert noted[process].memory["G"] == puppet.size

    def teardown(self) -> None:
        """Whoever is out comes back once it may: all others idle, and the host has room."""
        self.world.others = 0
        for name in self.stage.clients:
            self.stage.wish(name, False)
            for puppet in self.stage.of(name):
                puppet.unfit = False
        for name in self.stage.clients:
            self.stage.paging.page(name, self.stage.conductor, out=False)
        for name in self.stage.clients:
            self.come_back(name)
        assert self.world.faults == []
        self.stage.close()
        self.patch.undo()

    def come_back(self, name: str) -> None:
        self.stage.never.clear()
        self.stage.wish(name, True)
        for _ in range(40):
            self.stage.settle(0.5)
            if self.stage.place(name) == "resident":
                break
        else:
            raise AssertionError(f"{name} stays out: {self.stage.paging.describe(self.world.now)}")
        self.stage.wish(name, False)


Life.TestCase.settings = settings(
    max_examples=int(RANDOM or 8),
    stateful_step_count=25,
    derandomize=not RANDOM,
    deadline=None,
    database=None,
)
TestLife = Life.TestCase
