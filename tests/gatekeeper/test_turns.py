"""Turns of real programs on the emulated GPU.

What a client was served is the GPU's own account (engine seconds), which no busy machine distorts;
how turns went is the turn log. Shares are compared over many turns; the tolerance is stated.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Awaitable, Callable
from itertools import pairwise
from statistics import median
from typing import TYPE_CHECKING, Any

import pytest

from rota.gatekeeper.messages import ClientSpec, Node, Settings
from rota.scheduling.log import jain, shares
from rota.scheduling.terms import Priority, Rules, Share, Why

if TYPE_CHECKING:
    from tests.gatekeeper.conftest import EmulatedNode

Until = Callable[..., Awaitable[Any]]
BUSY = "trainer --kernel 5ms --ahead 6"
"""Work for 30 ms at once: the engine does not wait for a program that a busy machine delays."""

POINTS = 0.02
"""The tolerance for a client's part of the GPU seconds in the turn log."""

ENGINE_POINTS = 0.05
"""The tolerance for its part of the engine's time over the same turns: a turn or two at the edges."""


async def test_four_equal_trainers_have_a_quarter_each(node: EmulatedNode, short: Rules) -> None:
    programs = await node.run(*[BUSY] * 4)
    clients = [node.client(f"c{n}", program) for n, program in enumerate(programs)]
    async with node.supervised(*clients, rules=short, handing="disjoint") as supervisor:
        await node.turns(supervisor, 8)
        before = [node.served(program) for program in programs]
        turns = await node.turns(supervisor, 80)
        served = [node.served(p) - b for p, b in zip(programs, before, strict=True)]
    assert list(shares(turns).values()) == pytest.approx([0.25] * 4, abs=POINTS)
    assert [part / sum(served) for part in served] == pytest.approx([0.25] * 4, abs=ENGINE_POINTS)
    assert jain(served) > 0.98


async def test_weights_three_to_one_give_three_quarters(node: EmulatedNode, short: Rules) -> None:
    heavy, light = await node.run(BUSY, BUSY)
    clients = node.client("heavy", heavy, share=Share(weight=3.0)), node.client("light", light)
    async with node.supervised(*clients, rules=short, handing="disjoint") as supervisor:
        await node.turns(supervisor, 8)
        before = node.served(heavy), node.served(light)
        turns = await node.turns(supervisor, 70)
        served = node.served(heavy) - before[0], node.served(light) - before[1]
    assert shares(turns)["heavy"] == pytest.approx(0.75, abs=POINTS)
    assert served[0] / sum(served) == pytest.approx(0.75, abs=ENGINE_POINTS)


async def test_disjoint_turns_do_not_overlap_and_kernels_run_as_fast_as_alone(
    node: EmulatedNode,
) -> None:
    programs = await node.run(*["server --kernel 100ms --period 1ms"] * 2)
    clients = [node.client(f"c{n}", program) for n, program in enumerate(programs)]
    rules = Rules(quantum=0.5)
    async with node.supervised(*clients, rules=rules, handing="disjoint") as supervisor:
        turns = await node.turns(supervisor, 6)
    turns.sort(key=lambda turn: turn.start)
    for one, other in pairwise(turns):
        assert one.end <= other.start
    for program in programs:
        ends = [line["at"] for line in program.lines("request") if line["at"] > turns[0].start]
        gaps = [b - a for a, b in pairwise(ends)]
        assert median(gaps) < 0.15, "two at once would take 0.2 s for each kernel"


async def test_a_light_client_beside_two_heavy_ones_is_answered_soon(node: EmulatedNode) -> None:
    *heavy, light = await node.run(BUSY, BUSY, "server --kernel 2ms --period 250ms")
    clients = [node.client(f"heavy{n}", program) for n, program in enumerate(heavy)]
    rules = Rules(quantum=0.8)
    async with node.supervised(*clients, node.client("light", light), rules=rules) as supervisor:
        turns = await node.turns(supervisor, 24)
    waits = [turn.waited for turn in turns if turn.client == "light"]
    assert len(waits) >= 5
    assert median(waits) < rules.quantum / 4, "without preemption it waits for a whole turn"
    assert Why.PREEMPTED in {turn.why for turn in turns if turn.client != "light"}


async def test_a_client_alone_is_never_gated_and_idle_ones_cost_it_nothing(
    node: EmulatedNode, until: Until
) -> None:
    busy, idle = await node.run(BUSY, "notebook --think 1h --kernel 1ms")
    async with node.supervised(node.client("busy", busy)) as supervisor:
        await until(lambda: node.served(busy) > 0.5)
        assert node.journal() == []
        both = node.client("busy", busy), node.client("idle", idle)
        supervisor.tell(Node(Settings(), both))
        await until(lambda: idle.identity in node.journal(), "the idle one is gated")
        before = node.served(busy)
        await until(lambda: node.served(busy) > before + 1.0)
        assert busy.identity not in node.journal()
        state = await supervisor.state()
        assert state["gpus"][node.gpus[0]]["holder"] == "busy"
        assert state["clients"]["idle"]["gate"] == "closed"


async def test_batch_yields_to_others_and_is_not_starved(node: EmulatedNode, short: Rules) -> None:
    night, day = await node.run(*["trainer --kernel 1ms"] * 2)
    share = Share(priority=Priority.BATCH)
    clients = node.client("night", night, share=share), node.client("day", day)
    async with node.supervised(*clients, rules=short) as supervisor:
        await node.turns(supervisor, 4)
        turns = await node.turns(supervisor, 8)
    assert 0.0 < shares(turns)["night"] < 0.3


async def test_weights_and_mode_change_live(node: EmulatedNode, short: Rules, until: Until) -> None:
    one, other = await node.run(BUSY, BUSY)
    equal = node.client("one", one), node.client("other", other)
    async with node.supervised(*equal, rules=short) as supervisor:
        await node.turns(supervisor, 4)
        heavier = node.client("one", one, share=Share(weight=4.0)), equal[1]
        supervisor.tell(Node(Settings(rules=short), heavier))
        await node.turns(supervisor, 8)
        turns = await node.turns(supervisor, 50)
        assert shares(turns)["one"] == pytest.approx(0.8, abs=0.04)
        supervisor.tell(Node(Settings(mode="driver"), heavier))

        async def is_off() -> bool:
            state = await supervisor.state()
            return bool(state["off"] == "mode: driver" and node.journal() == [])

        await until(is_off, "all gates open")
        supervisor.tell(Node(Settings(rules=short), heavier))
        await node.turns(supervisor, 6)


async def test_all_processes_of_a_client_share_its_turn(node: EmulatedNode, short: Rules) -> None:
    *team, single = await node.run(BUSY, BUSY, BUSY, BUSY)
    clients = node.client("team", *team), node.client("single", single)
    async with node.supervised(*clients, rules=short, handing="disjoint") as supervisor:
        await node.turns(supervisor, 8)
        before = [node.served(program) for program in node.workloads]
        await node.turns(supervisor, 40)
        served = [node.served(p) - b for p, b in zip(node.workloads, before, strict=True)]
    assert served[3] / sum(served) == pytest.approx(0.5, abs=0.07)
    assert all(part / sum(served) == pytest.approx(1 / 6, abs=0.07) for part in served[:3])


async def test_a_client_that_never_drains_in_time_runs_ungated_with_the_reason_shown(
    node: EmulatedNode, until: Until
) -> None:
    slow, quick, third = await node.run("trainer --kernel 1h", *["trainer --kernel 1ms"] * 2)
    clients = [node.client(n, p) for n, p in (("slow", slow), ("quick", quick), ("third", third))]
    rules = Rules(quantum=0.05, patience=0.05)
    settings = {"rules": rules, "deadline": 0.4, "attempts": 3}
    async with node.supervised(*clients, **settings) as supervisor:

        async def why() -> str:
            return str((await supervisor.state())["clients"]["slow"]["ungated"])

        assert "would not drain in time, 3 times in a row" in await until(why)
        assert {turn.client for turn in await node.turns(supervisor, 8)} == {"quick", "third"}
    assert node.is_open(slow)


async def test_a_stopped_program_costs_the_others_nothing(
    node: EmulatedNode, short: Rules, until: Until
) -> None:
    stopped, one, other = await node.run(BUSY, BUSY, BUSY)
    clients = [node.client(n, p) for n, p in (("s", stopped), ("one", one), ("other", other))]
    async with node.supervised(*clients, rules=short) as supervisor:
        await node.turns(supervisor, 12)
        os.kill(stopped.pid, signal.SIGSTOP)
        await node.turns(supervisor, 6)
        later = await node.turns(supervisor, 20)
        assert {turn.client for turn in later[4:]} <= {"one", "other"}
        assert all(turn.waited < 2.0 for turn in later)
        os.kill(stopped.pid, signal.SIGCONT)
        before = node.served(stopped)
        await until(lambda: node.served(stopped) > before + 0.3, "it goes on")
        assert "s" in {turn.client for turn in await node.turns(supervisor, 12)}
    await until(node.all_open)


async def test_a_program_that_starts_late_joins_and_one_that_ends_leaves(
    node: EmulatedNode, short: Rules
) -> None:
    one, other = await node.run(BUSY, BUSY)
    clients = [node.client("one", one), node.client("other", other)]
    async with node.supervised(*clients, rules=short) as supervisor:
        await node.turns(supervisor, 4)
        (third,) = await node.run(BUSY)
        everybody = (*clients, node.client("third", third))
        supervisor.tell(Node(Settings(rules=short), everybody))
        assert "third" in {turn.client for turn in await node.turns(supervisor, 12)}
        other.process.kill()
        other.process.wait()
        later = await node.turns(supervisor, 12)
        assert {turn.client for turn in later[4:]} == {"one", "third"}


async def test_a_client_of_two_gpus_has_both_at_once(
    emulate: Callable[[str], EmulatedNode], short: Rules
) -> None:
    node = emulate("t4x2")
    left, right = node.gpus
    on_left = await node.run(BUSY, BUSY, CUDA_VISIBLE_DEVICES="0")
    on_right = await node.run(BUSY, BUSY, CUDA_VISIBLE_DEVICES="1")
    wide = frozenset({on_left[0].identity, on_right[0].identity})
    clients = (
        ClientSpec("wide", {left: Share(), right: Share()}, wide),
        ClientSpec("left", {left: Share()}, frozenset({on_left[1].identity})),
        ClientSpec("right", {right: Share()}, frozenset({on_right[1].identity})),
    )
    async with node.supervised(*clients, rules=short, handing="disjoint") as supervisor:
        turns = await node.turns(supervisor, 60)
    both = [turn for turn in turns if turn.client == "wide"]
    starts = {gpu: {t.start for t in both if t.gpu == gpu} for gpu in (left, right)}
    assert len(starts[left] ^ starts[right]) <= 1
    for gpu in (left, right):
        parts = shares(turn for turn in turns if turn.gpu == gpu)
        assert parts["wide"] == pytest.approx(0.5, abs=0.1)
