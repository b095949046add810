"""The pager that acts: who goes, who waits, who comes back, and what becomes of failures and kills."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from rota.gatekeeper.journal import Process
from rota.gatekeeper.paged import Note
from rota.gpu.doors import GateState
from rota.memory.pager import PagingRefused
from tests.gatekeeper.paging_world import IDLE, MIB, Stage

GIB = 1000 * MIB


@pytest.fixture
def stage(monkeypatch: pytest.MonkeyPatch) -> Iterator[Stage]:
    made = Stage(monkeypatch)
    yield made
    made.close()
    assert made.world.faults == []


def two(stage: Stage, size: int = 4 * GIB) -> None:
    """`old` has its memory and idles; `new` has just come and wants the GPU."""
    stage.client("old")
    stage.play(0.1)
    assert stage.grab("old", size) == size
    stage.play(2 * IDLE)
    stage.client("new")
    stage.wish("new", True)


def test_an_idle_client_makes_room_before_a_newcomers_turn_begins(stage: Stage) -> None:
    two(stage)
    stage.play(0.5)
    assert stage.place("old") == "leaving"
    assert stage.of("new")[0].state is GateState.CLOSED
    stage.settle()
    assert stage.place("old") == "out"
    assert stage.grab("new", 4 * GIB) == 4 * GIB


def test_a_page_out_that_hangs_keeps_a_newcomer_back_for_so_long_and_no_longer(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rota.gatekeeper.clearing.PATIENCE", 2.0)
    two(stage)
    stage.play(1.0)
    assert stage.of("new")[0].state is GateState.CLOSED
    stage.play(2.0)
    assert stage.of("new")[0].state is GateState.OPEN
    assert stage.place("old") == "leaving"


def test_who_is_out_is_seen_waiting_and_comes_back_before_its_turn(stage: Stage) -> None:
    two(stage)
    stage.settle()
    assert stage.grab("new", 6 * GIB) == 6 * GIB
    stage.wish("new", False)
    stage.play(0.5)
    stage.wish("old", True)
    stage.play(0.3)
    assert stage.place("old") == "out"
    stage.settle(3 * IDLE)
    assert (stage.place("old"), stage.place("new")) == ("resident", "out")
    assert stage.of("old")[0].state is GateState.OPEN


def test_a_working_set_is_never_paged_out(stage: Stage) -> None:
    two(stage)
    stage.wish("old", True)
    stage.settle(5 * IDLE)
    assert stage.place("old") == "resident"
    turns = {turn.client for turn in stage.conductor.log.since(0)[1]}
    assert turns == {"old", "new"}


def test_the_least_recently_used_goes_and_nobody_more(stage: Stage) -> None:
    stage.oversubscribe = 2.0
    for name in ("first", "second"):
        stage.client(name)
        stage.wish(name, True)
        stage.play(0.2)
        while not stage.grab(name, 3 * GIB):
            stage.play(0.01)
        stage.wish(name, False)
        stage.play(1.5 * IDLE)
    stage.client("new")
    stage.wish("new", True)
    stage.settle(0.5)
    assert [stage.place(name) for name in ("first", "second")] == ["out", "resident"]


def test_never_is_obeyed_also_by_hand_and_from_one_moment_to_the_next(stage: Stage) -> None:
    stage.client("old", never=True)
    two_more(stage)
    assert stage.place("old") == "resident"
    stage.never.clear()
    stage.tell()
    stage.settle()
    assert stage.place("old") == "out"


def two_more(stage: Stage) -> None:
    stage.play(0.1)
    stage.grab("old", 4 * GIB)
    stage.play(2 * IDLE)
    stage.client("new")
    stage.wish("new", True)
    stage.paging.page("old", stage.conductor, out=True)
    stage.settle()


def test_what_cannot_be_checkpointed_runs_on_and_is_not_tried_again(stage: Stage) -> None:
    two(stage)
    stage.of("old")[0].unfit = True
    stage.settle()
    assert stage.place("old") == "resident"
    assert "cannot be checkpointed" in stage.paging.describe(0)["old"]["error"]
    stage.of("old")[0].unfit = False
    stage.settle()
    assert stage.place("old") == "resident"
    assert stage.paged.read() == {}


def test_where_a_part_of_a_client_cannot_go_the_rest_comes_back(stage: Stage) -> None:
    stage.client("old", 2)
    stage.play(0.1)
    stage.grab("old", 4 * GIB)
    stage.of("old")[1].unfit = True
    stage.paging.page("old", stage.conductor, out=True)
    stage.settle()
    assert [puppet.state for puppet in stage.of("old")] == [GateState.OPEN] * 2
    assert stage.paged.read() == {}


def test_a_host_without_room_keeps_it_on_the_gpu_and_says_why(stage: Stage) -> None:
    two(stage)
    stage.world.others = 12 * GIB
    stage.paging.page("old", stage.conductor, out=True)
    stage.settle()
    assert stage.place("old") == "resident"
    assert "no room" in stage.paging.describe(0)["old"]["error"]


def test_paused_it_stays_out_until_it_is_let_back(stage: Stage) -> None:
    stage.client("a")
    stage.settings = replace(stage.settings, enabled=False)
    stage.tell()
    stage.play(0.1)
    stage.paging.page("a", stage.conductor, out=True)
    stage.wish("a", True)
    stage.settle()
    assert stage.place("a") == "out"
    assert stage.paging.describe(0)["a"]["paused"]
    stage.paging.page("a", stage.conductor, out=False)
    stage.settle()
    assert stage.place("a") == "resident"
    assert stage.of("a")[0].state is GateState.OPEN


def test_refused_by_hand_where_paging_is_off_or_nobody_is_there(stage: Stage) -> None:
    stage.client("a")
    stage.settings = replace(stage.settings, off={"G": "the driver does harm"})
    stage.tell()
    with pytest.raises(PagingRefused, match="does harm"):
        stage.paging.page("a", stage.conductor, out=True)
    with pytest.raises(PagingRefused, match="nothing on a GPU"):
        stage.paging.page("b", stage.conductor, out=True)


@pytest.mark.parametrize("finished", [True, False])
@pytest.mark.parametrize("way", ["out", "in"])
def test_a_kill_in_the_middle_of_a_step_loses_nobody(
    stage: Stage, way: str, finished: bool
) -> None:
    two(stage)
    stage.play(0.5)
    if way == "in":
        stage.settle()
        stage.wish("new", False)
        stage.wish("old", True)
        while stage.place("old") != "entering":
            stage.play(0.05)
    assert stage.hands.paging
    stage.kill(finished=finished)
    stage.wish("new", False)
    stage.wish("old", True)
    stage.settle(5 * IDLE)
    assert stage.place("old") == "resident"
    assert stage.of("old")[0].size == 4100 * MIB
    assert stage.paged.read() == {}


def test_a_gatekeeper_that_finds_one_out_keeps_it_out_until_it_wants_the_gpu(stage: Stage) -> None:
    two(stage)
    stage.settle()
    stage.kill(finished=True)
    stage.settle()
    assert stage.place("old") == "out"
    assert stage.of("old")[0].state is GateState.PAGED_OUT
    (note,) = stage.paged.read().values()
    assert (note.client, note.size) == ("old", 4100 * MIB)


def test_while_turns_are_off_who_is_out_stays_and_who_comes_back_is_not_disturbed(
    stage: Stage,
) -> None:
    two(stage)
    stage.settle()
    stage.wish("new", False)
    stage.wish("old", True)
    while stage.place("old") != "entering":
        stage.play(0.05)
    stage.conductor.turn_off("no agent", stage.world.now)
    stage.play(0.5)
    assert stage.of("new")[0].state is GateState.CLOSED
    stage.hands.finish()
    stage.play(0.5)
    assert [one.state for name in ("old", "new") for one in stage.of(name)] == [GateState.OPEN] * 2


def test_without_turns_one_who_waits_in_host_memory_is_missed_and_comes_back_alone(
    stage: Stage,
) -> None:
    two(stage)
    stage.settle()
    stage.wish("new", False)
    stage.conductor.turn_off("no agent", stage.world.now)
    stage.play(2 * IDLE)
    assert not stage.paging.is_missed(stage.conductor)
    stage.wish("old", True)
    assert stage.paging.is_missed(stage.conductor)
    stage.paging.alone = True
    stage.conductor.turn_on(stage.world.now)
    stage.settle()
    assert [stage.place(name) for name in ("old", "new")] == ["resident"] * 2


def test_paused_nobody_is_missed(stage: Stage) -> None:
    two(stage)
    stage.wish("new", False)
    stage.paging.page("old", stage.conductor, out=True)
    stage.settle()
    stage.wish("old", True)
    stage.conductor.turn_off("no agent", stage.world.now)
    assert not stage.paging.is_missed(stage.conductor)


def test_everybody_is_brought_home_as_far_as_there_is_room(stage: Stage) -> None:
    two(stage)
    stage.settle()
    stage.paging.homing = True
    stage.wish("new", False)
    stage.settle()
    assert not stage.paging.any_out


def test_who_is_out_comes_back_to_a_gpu_that_is_no_longer_shared(stage: Stage) -> None:
    two(stage)
    stage.settle()
    stage.shared = False
    stage.wish("new", False)
    stage.wish("old", True)
    stage.tell()
    stage.settle()
    assert stage.place("old") == "resident"


def test_who_ends_in_host_memory_is_forgotten(stage: Stage) -> None:
    two(stage)
    stage.settle()
    stage.of("old")[0].gone = True
    stage.tell()
    stage.settle()
    assert "old" not in stage.paging.describe(0)
    assert stage.paged.read() == {}


def test_a_note_that_is_damaged_says_that_the_process_may_be_out(stage: Stage) -> None:
    process = Process(7, 8)
    stage.paged.note(process, Note("a", {"G": 5}, "out"))
    (path,) = (stage.folder / "paged").iterdir()
    path.write_text("{")
    assert stage.paged.read() == {process: Note("")}
