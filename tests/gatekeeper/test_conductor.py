"""The conductor with gates and demands that do what the test says, and a clock that it moves."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from rota.gatekeeper.conductor import Conductor
from rota.gatekeeper.gate import Demand
from rota.gatekeeper.group import State
from rota.gatekeeper.journal import Journal, Process
from rota.gatekeeper.lanes import Call, Done, Lanes, Relay
from rota.gatekeeper.messages import ClientSpec, Node, Settings
from rota.gpu.doors import (
    GateBusy,
    GateError,
    GateForbidden,
    GateGone,
    GateIllegal,
    GateNoContext,
    GateState,
)
from rota.scheduling.terms import Rules, Share, Why

ME = 4194301
"""Pids that no process has."""


@dataclass
class Puppet(Demand):
    """A process: what it wants, and how its gate answers."""

    process: Process
    wanting: bool = True
    gone: bool = False
    legible: bool = True
    closed: bool = False
    answers: dict[Call, GateError] = field(default_factory=dict)
    hangs: bool = False
    unseen: bool = False
    rests: bool = True

    @property
    def ended(self) -> bool:
        return self.gone

    def readable(self) -> bool:
        return self.legible

    def wants(self) -> bool:
        return self.legible and self.wanting and not self.unseen

    def asleep(self) -> bool:
        return not self.wanting

    def at_rest(self) -> bool:
        return self.rests

    def close(self) -> None:
        self.gone = True


class Hands(Lanes):
    """Lanes whose calls come back at the next step, unless they hang."""

    def __init__(self, puppets: dict[Process, Puppet]) -> None:
        self.puppets = puppets
        self.waiting: list[tuple[Process, Call, Relay | None]] = []
        self.calls: list[tuple[str, int]] = []

    def submit(
        self, process: Process, call: Call, timeout: float = 0.0, then: Relay | None = None
    ) -> None:
        self.waiting.append((process, call, then))

    @property
    def silent(self) -> bool:
        return not any(not self.puppets[process].hangs for process, _, _ in self.waiting)

    def done(self) -> Iterator[Done]:
        for process, call, relay in list(self.waiting):
            puppet = self.puppets[process]
            if not puppet.hangs:
                self.waiting.remove((process, call, relay))
                yield (done := self.perform(puppet, call))
                if follower := relay and relay.take():
                    yield self.follow(follower, done)

    def follow(self, follower: Process, done: Done) -> Done:
        if done.error is None:
            return self.perform(self.puppets[follower], Call.OPEN)
        return Done(follower, Call.OPEN, skipped=True)

    def perform(self, puppet: Puppet, call: Call) -> Done:
        self.calls.append((call.value, puppet.process.pid))
        error = puppet.answers.get(call)
        if error is None and call is not Call.STATE:
            puppet.closed = call is Call.CLOSE
        return Done(puppet.process, call, error, GateState.OPEN)

    def forget(self, process: Process) -> None:
        return


class Stage:
    """A conductor and its puppets."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.journal = Journal(folder)
        self.puppets: dict[Process, Puppet] = {}
        self.hands = Hands(self.puppets)
        self.conductor = Conductor(self.journal, self.hands, lambda pid, s: self.of(pid))
        self.now = 50.0
        self.clients: dict[str, ClientSpec] = {}
        self.settings = Settings(rules=Rules(quantum=0.1, patience=0.1), handing="disjoint")

    def of(self, pid: int) -> Puppet:
        return self.puppets[Process(pid, 1)]

    def client(self, name: str, *pids: int, starting: bool = False, ending: bool = False) -> None:
        processes = frozenset(Process(pid, 1) for pid in pids)
        for process in processes:
            self.puppets.setdefault(process, Puppet(process))
        early = processes if starting else frozenset()
        self.clients[name] = ClientSpec(name, {"G": Share()}, processes, early, ending)
        self.tell()

    def tell(self) -> None:
        self.conductor.tell(Node(self.settings, tuple(self.clients.values())), self.now)

    def play(self, seconds: float) -> None:
        end = self.now + seconds
        while self.now < end:
            self.conductor.step(self.now)
            self.now += 0.001

    def closed(self) -> set[int]:
        return {process.pid for process, puppet in self.puppets.items() if puppet.closed}

    def turns(self) -> list[str]:
        return [turn.client for turn in self.conductor.log.since(0)[1]]


@pytest.fixture
def stage() -> Iterator[Stage]:
    folder = Path(tempfile.mkdtemp(prefix="rota"))
    yield Stage(folder)
    shutil.rmtree(folder)


A, B, C, D = ME, ME + 1, ME + 2, ME + 3


def test_one_client_is_never_gated(stage: Stage) -> None:
    stage.client("a", A)
    stage.play(1.0)
    assert stage.hands.calls == []
    assert stage.journal.read() == []


def test_two_take_turns_and_the_journal_names_the_one_that_is_closed(stage: Stage) -> None:
    stage.client("a", A)
    stage.client("b", B)
    stage.play(1.0)
    assert stage.turns()[:6] == ["a", "b"] * 3
    assert {process.pid for process in stage.journal.read()} == stage.closed()
    assert len(stage.closed()) == 1


def test_disjoint_closes_before_it_opens_and_overlapped_opens_first(stage: Stage) -> None:
    stage.client("a", A)
    stage.client("b", B)
    stage.play(0.25)
    assert stage.hands.calls[:3] == [("close", B), ("close", A), ("open", B)]
    stage.settings = Settings(rules=Rules(quantum=0.1), handing="overlapped")
    stage.tell()
    del stage.hands.calls[:]
    stage.play(0.11)
    assert [call for call, _ in stage.hands.calls[:2]] == ["open", "close"]


def test_a_handover_waits_for_a_drain_that_takes_long(stage: Stage) -> None:
    stage.settings = Settings(rules=Rules(quantum=0.1, patience=0.1), handing="overlapped")
    stage.client("a", A)
    stage.client("b", B)
    stage.play(0.25)
    stage.of(A).hangs = True
    while stage.conductor.groups["a"].state is not State.CLOSING:
        stage.play(0.001)
    stage.play(0.05)
    assert stage.closed() == set()
    stage.of(A).hangs = False
    stage.play(0.12)
    del stage.hands.calls[:]
    while len(stage.hands.calls) < 2:
        stage.play(0.001)
    stage.play(0.1)
    a_closed = stage.hands.calls.index(("close", A))
    assert stage.hands.calls[a_closed + 1] == ("open", B)


def test_a_client_cut_short_that_waits_in_a_way_unknown_is_let_in_to_see(stage: Stage) -> None:
    stage.client("a", A)
    stage.client("b", B)
    stage.play(0.25)
    stage.of(B).unseen = True
    stage.play(10.0)
    assert 5 <= stage.turns().count("b") <= 15


def test_one_that_works_on_the_cpu_meanwhile_is_not_let_in(stage: Stage) -> None:
    stage.client("a", A)
    stage.client("b", B)
    stage.play(0.25)
    stage.of(B).unseen, stage.of(B).rests = True, False
    before = stage.turns().count("b")
    stage.play(5.0)
    assert stage.turns().count("b") <= before + 1


def test_one_that_works_for_moments_is_let_in_beside_the_holder_and_no_gate_moves(
    stage: Stage,
) -> None:
    stage.settings = Settings(rules=Rules(quantum=0.1), handing="overlapped")
    stage.client("a", A)
    stage.client("b", B)
    stage.of(B).wanting = False
    for _ in range(6):
        stage.play(0.05)
        stage.of(B).wanting = True
        while stage.of(B).closed:
            stage.play(0.001)
        stage.play(0.002)
        stage.of(B).wanting = False
    stage.play(0.05)
    assert stage.closed() == set()
    del stage.hands.calls[:]
    for _ in range(20):
        stage.of(B).wanting = True
        stage.play(0.005)
        stage.of(B).wanting = False
        stage.play(0.045)
    assert stage.hands.calls == []
    assert stage.turns()[-1] == "b"
    stage.of(B).wanting = True
    stage.play(0.3)
    assert len(stage.closed()) == 1


def test_an_idle_client_stays_closed_and_is_served_when_it_wakes(stage: Stage) -> None:
    stage.client("a", A)
    stage.client("b", B)
    stage.of(B).wanting = False
    stage.play(2.0)
    assert stage.closed() == {B}
    stage.of(B).wanting = True
    stage.play(0.05)
    assert stage.closed() == {A}
    stage.of(B).wanting = False
    stage.play(0.05)
    assert stage.closed() == {B}
    last = stage.conductor.log.since(0)[1][-1]
    assert (last.client, last.why) == ("b", Why.YIELDED)


def test_all_processes_of_a_client_or_none(stage: Stage) -> None:
    stage.client("team", A, B, C)
    stage.client("single", D)
    stage.play(0.12)
    assert stage.closed() == {A, B, C}
    stage.of(B).answers[Call.CLOSE] = GateBusy("busy")
    stage.play(0.115)
    assert stage.closed() == {D}, "part of the team would not close: it is open again, all of it"


def test_what_cannot_be_closed_is_tried_later_and_then_runs_ungated(stage: Stage) -> None:
    stage.client("a", A)
    stage.client("b", B)
    stage.of(B).answers[Call.CLOSE] = GateBusy("busy")
    stage.play(3.0)
    group = stage.conductor.groups["b"]
    assert group.ungated == "its gates would not drain in time, 3 times in a row"
    assert stage.closed() == set()
    assert stage.conductor.ensemble.clients == ("a",)


def test_a_close_that_hangs_past_its_deadline_harms_nobody_else(stage: Stage) -> None:
    stage.client("a", A)
    stage.client("b", B)
    stage.client("c", C)
    stage.play(0.05)
    stage.of(A).hangs = True
    stage.play(6.0)
    assert "gate" in stage.conductor.groups["a"].ungated
    count = len(stage.turns())
    stage.play(1.0)
    assert set(stage.turns()[count:]) == {"b", "c"}


@pytest.mark.parametrize("error", [GateForbidden("another user's"), GateForbidden("no right")])
def test_who_may_not_be_gated_runs_ungated_with_the_reason(stage: Stage, error: GateError) -> None:
    stage.client("a", A)
    stage.client("b", B)
    stage.of(B).answers[Call.CLOSE] = error
    stage.play(0.5)
    assert stage.conductor.groups["b"].ungated == str(error)
    assert stage.closed() == set()


def test_a_gate_that_somebody_else_closed_is_left_to_them(stage: Stage) -> None:
    stage.client("a", A)
    stage.client("b", B)
    stage.of(B).answers[Call.CLOSE] = GateIllegal("closed already")
    stage.of(B).wanting = False
    stage.play(0.5)
    assert ("open", B) not in stage.hands.calls
    assert stage.journal.read() == []


def test_a_process_that_vanishes_is_dropped_and_its_turn_ends(stage: Stage) -> None:
    stage.client("a", A)
    stage.client("b", B)
    stage.play(0.05)
    stage.of(A).gone = True
    stage.of(A).answers = dict.fromkeys(Call, GateGone("no more"))
    stage.play(0.2)
    assert stage.closed() == set()
    assert stage.journal.read() == []
    assert stage.conductor.log.since(0)[1][-1].why is Why.EXITED


def test_a_client_that_is_being_ended_has_its_gate_opened(stage: Stage) -> None:
    stage.client("a", A)
    stage.client("b", B)
    stage.play(0.05)
    assert stage.closed() == {B}
    stage.client("b", B, ending=True)
    stage.play(0.05)
    assert stage.closed() == set()


def test_a_client_that_is_no_longer_named_has_its_gate_opened(stage: Stage) -> None:
    stage.client("a", A)
    stage.client("b", B)
    stage.play(0.05)
    del stage.clients["b"]
    stage.tell()
    stage.play(0.05)
    assert stage.closed() == set()
    assert stage.journal.read() == []


def test_a_starting_process_has_the_turn_until_its_context_exists(stage: Stage) -> None:
    stage.client("a", A)
    stage.client("b", B)
    stage.play(0.02)
    stage.client("new", C, starting=True)
    no_context = GateNoContext("none yet")
    stage.of(C).answers = {Call.STATE: no_context, Call.CLOSE: no_context}
    stage.play(0.2)
    assert stage.closed() == {A, B}
    stage.play(0.3)
    assert stage.closed() == {A, B}, "not interrupted at the quantum"
    stage.of(C).answers.clear()
    stage.play(0.1)
    assert C in stage.closed()


def test_a_starting_process_gives_the_turn_back_after_a_second(stage: Stage) -> None:
    stage.client("a", A)
    stage.client("new", B, starting=True)
    no_context = GateNoContext("none yet")
    stage.of(B).answers = {Call.STATE: no_context, Call.CLOSE: no_context}
    stage.play(0.9)
    assert stage.closed() == {A}
    stage.play(0.3)
    assert stage.closed() == set()


def test_where_demand_cannot_be_read_turns_are_short_probes_and_still_fair(stage: Stage) -> None:
    stage.client("seen", A)
    stage.client("unseen", B)
    stage.of(B).legible = False
    stage.play(5.0)
    turns = stage.conductor.log.since(0)[1]
    probes = [turn for turn in turns if turn.client == "unseen"]
    assert all(turn.end - turn.start < 0.03 for turn in probes)
    used = sum(turn.used for turn in probes)
    assert used > 0.2 * 5.0


def test_turns_off_opens_every_gate_and_on_closes_again(stage: Stage) -> None:
    stage.client("a", A)
    stage.client("b", B)
    stage.play(0.05)
    stage.conductor.turn_off("mode: driver", stage.now)
    stage.play(0.05)
    assert stage.closed() == set()
    assert stage.conductor.all_open
    stage.conductor.turn_on(stage.now)
    stage.play(0.05)
    assert len(stage.closed()) == 1


def test_without_a_journal_no_gate_is_closed_and_the_reason_is_shown(stage: Stage) -> None:
    (stage.folder / "closed").write_text("in the way")
    stage.client("a", A)
    stage.client("b", B)
    stage.play(1.0)
    assert stage.closed() == set()
    assert "closed gates cannot be noted" in stage.conductor.off
    (stage.folder / "closed").unlink()
    stage.play(3.0)
    assert stage.conductor.off == ""
    assert len(stage.closed()) == 1


def test_a_journal_that_fails_in_mid_turn_opens_every_gate(stage: Stage) -> None:
    stage.client("a", A)
    stage.client("b", B)
    stage.play(0.05)
    shutil.rmtree(stage.folder / "closed")
    (stage.folder / "closed").write_text("in the way")
    stage.play(0.5)
    assert stage.closed() == set()
    assert stage.conductor.off


def test_a_new_process_of_a_closed_client_is_closed_too(stage: Stage) -> None:
    stage.client("a", A)
    stage.client("b", B)
    stage.play(0.05)
    stage.client("b", B, C)
    stage.play(0.02)
    assert stage.closed() == {B, C}
