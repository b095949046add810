"""However the gatekeeper or the agent ends, every program runs on.

Each of these is done to real processes. What is waited for is that every gate is open, or that
every program is served again; nothing is asserted about how few milliseconds that takes.
"""

from __future__ import annotations

import asyncio
import os
import random
import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

import pytest

from rota.gatekeeper import supervisor as module
from rota.gatekeeper.client import ask
from rota.gatekeeper.messages import ClientSpec, Node, Settings, encode, node_message
from rota.gatekeeper.supervisor import Supervisor
from rota.scheduling.terms import Rules

if TYPE_CHECKING:
    from tests.gatekeeper.conftest import EmulatedNode, Workload

Until = Callable[..., Awaitable[Any]]
BUSY = "trainer --kernel 2ms"
KILLS = int(os.environ.get("ROTA_KILLS", "10"))

AGENT = """
import asyncio, json, sys
from pathlib import Path
from rota.gatekeeper.messages import parse_node
from rota.gatekeeper.supervisor import Supervisor
supervisor = Supervisor(Path(sys.argv[1]), emulated=Path(sys.argv[2]))
supervisor.tell(parse_node(json.loads(sys.argv[3])))
asyncio.run(supervisor.run())
"""
"""An agent that does nothing but keep a gatekeeper."""


async def all_served(node: EmulatedNode, until: Until) -> None:
    """Every program gets on: whatever happened, none is stuck."""
    before = {program.pid: node.served(program) for program in node.workloads}
    await until(
        lambda: all(node.served(p) > before[p.pid] + 0.01 for p in node.workloads if p.alive),
        "every program is served",
    )
    assert all(program.alive for program in node.workloads)


def clients_of(node: EmulatedNode, programs: list[Workload]) -> list[ClientSpec]:
    return [node.client(f"c{n}", program) for n, program in enumerate(programs)]


async def under_turns(node: EmulatedNode, until: Until) -> None:
    await until(node.journal, "a gate is closed")


async def test_sigterm_opens_every_gate_and_exits_well(
    node: EmulatedNode, short: Rules, until: Until
) -> None:
    programs = await node.run(BUSY, BUSY, BUSY)
    where = ["--runtime", str(node.runtime), "--emulated", str(node.folder / "gpu")]
    gatekeeper = subprocess.Popen([sys.executable, "-m", "rota.gatekeeper", *where])
    node.others.append(gatekeeper)
    supervisor = Supervisor(node.runtime, emulated=node.folder / "gpu", spawn=False)
    supervisor.tell(Node(Settings(rules=short), tuple(clients_of(node, programs))))
    task = asyncio.create_task(supervisor.run())
    await under_turns(node, until)
    gatekeeper.terminate()
    assert await asyncio.to_thread(gatekeeper.wait, 30) == 0
    await until(node.all_open)
    assert node.journal() == []
    await all_served(node, until)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_killed_gatekeeper_is_replaced_and_all_programs_run_on(
    node: EmulatedNode, short: Rules, until: Until
) -> None:
    programs = await node.run(BUSY, BUSY, BUSY)
    async with node.supervised(*clients_of(node, programs), rules=short) as supervisor:
        await under_turns(node, until)
        assert supervisor.pid
        os.kill(supervisor.pid, signal.SIGKILL)
        await until(lambda: supervisor.pid and supervisor.starts == 2, "another gatekeeper")
        await node.turns(supervisor, 6)
        await all_served(node, until)
    await until(node.all_open)
    assert node.journal() == []


async def test_a_gatekeeper_that_nothing_is_asked_of_is_missed_at_once(
    node: EmulatedNode, short: Rules, until: Until, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "CALM", 3600.0)
    (program,) = await node.run(BUSY)
    async with node.supervised(*clients_of(node, [program]), rules=short) as supervisor:
        await until(lambda: supervisor.pid, "a gatekeeper")
        assert supervisor.pid
        os.kill(supervisor.pid, signal.SIGKILL)
        await until(lambda: supervisor.pid and supervisor.starts == 2, "another gatekeeper")


async def test_a_gatekeeper_that_hangs_is_killed_and_replaced(
    node: EmulatedNode, short: Rules, until: Until
) -> None:
    programs = await node.run(BUSY, BUSY)
    async with node.supervised(*clients_of(node, programs), rules=short) as supervisor:
        await under_turns(node, until)
        hanging = supervisor.pid
        assert hanging
        os.kill(hanging, signal.SIGSTOP)
        await until(lambda: supervisor.pid not in (None, hanging), "another gatekeeper")
        await node.turns(supervisor, 4)
        await all_served(node, until)


def agent(node: EmulatedNode, clients: list[ClientSpec], rules: Rules) -> subprocess.Popen[bytes]:
    told = encode(node_message(Node(Settings(rules=rules), tuple(clients)))).decode()
    return node.python(AGENT, str(node.runtime), str(node.folder / "gpu"), told)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP], ids=["killed", "hanging"])
async def test_without_an_agent_the_gatekeeper_opens_every_gate_and_waits_for_one(
    node: EmulatedNode, short: Rules, until: Until, number: signal.Signals
) -> None:
    programs = await node.run(BUSY, BUSY)
    clients = clients_of(node, programs)
    first = agent(node, clients, short)
    await under_turns(node, until)
    keeper = node.keeper()
    os.kill(first.pid, number)
    await until(lambda: ask(node.runtime, {"op": "state"})["off"], "turns are off")
    await until(lambda: node.all_open() and not node.journal())
    await all_served(node, until)
    first.kill()
    agent(node, clients, short)
    await under_turns(node, until)
    assert node.keeper() == keeper


async def test_after_both_were_killed_whoever_starts_opens_what_was_closed(
    node: EmulatedNode, short: Rules, until: Until
) -> None:
    programs = await node.run(BUSY, BUSY, BUSY)
    first = agent(node, clients_of(node, programs), short)
    await under_turns(node, until)
    os.kill(first.pid, signal.SIGKILL)
    os.kill(node.keeper(), signal.SIGKILL)
    async with node.supervised():
        await until(node.all_open)
        await all_served(node, until)
        assert node.journal() == []


async def test_nobody_touches_a_gate_that_the_journal_does_not_name(
    node: EmulatedNode, short: Rules, until: Until
) -> None:
    theirs, ours, other = await node.run(BUSY, BUSY, BUSY)
    node.gates.close(*theirs.identity, 10.0)
    async with node.supervised(*clients_of(node, [ours, other]), rules=short) as supervisor:
        await node.turns(supervisor, 6)
        assert supervisor.pid
        os.kill(supervisor.pid, signal.SIGKILL)
        await until(lambda: supervisor.pid and supervisor.starts == 2)
    assert not node.is_open(theirs)
    node.gates.open(*theirs.identity)


@pytest.mark.parametrize("seed", range(5))
async def test_random_kills_leave_no_program_behind(
    node: EmulatedNode, until: Until, seed: int
) -> None:
    chance = random.Random(seed)
    programs = await node.run(BUSY, BUSY, BUSY)
    clients = clients_of(node, programs)
    rules = Rules(quantum=0.01, minimum=0.002)
    watcher = agent(node, clients, rules)
    for _ in range(KILLS):
        await until(node.journal, "a gate is closed")
        await asyncio.sleep(chance.random() * 0.1)
        victim = chance.choice(["gatekeeper", "agent", "both"])
        if victim != "agent" and (keeper := node.keeper()):
            os.kill(keeper, signal.SIGKILL)
        if victim != "gatekeeper":
            watcher.kill()
            watcher.wait()
            watcher = agent(node, clients, rules)
        await all_served(node, until)
    watcher.kill()
    watcher.wait()
    await until(node.all_open)
