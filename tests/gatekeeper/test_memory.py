"""Limits that are held, on an emulated GPU: a greedy program is refused, its neighbours go on."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from rota.emulation.device import CONTEXT_BYTES
from rota.gatekeeper.messages import ClientSpec
from rota.memory.limits import Claim, Pool
from rota.memory.terms import GpuTerms
from rota.scheduling.terms import Rules, Share
from tests.gatekeeper.conftest import EmulatedNode, Started

MIB = 2**20

GREEDY = """
import json, select, sys, time
from rota.emulation import cuda
context = cuda.init().context(0)
print(json.dumps({"ready": True}), flush=True)
sys.stdin.readline()
had, refused, step = 0, 0, 16 * 2**20
while refused < 3 or not select.select([sys.stdin], [], [], 0)[0]:
    try:
        context.malloc(step)
        had += step
    except cuda.OutOfMemory:
        refused += 1
        time.sleep(0.005)
print(json.dumps({"had": had, "refused": refused}), flush=True)
sys.stdin.readline()
"""

THRIFTY = """
import json, random, sys
from rota.emulation import cuda
context = cuda.init().context(0)
share, count = int(sys.argv[1]), int(sys.argv[2])
print(json.dumps({"ready": True}), flush=True)
sys.stdin.readline()
chance, failed, held = random.Random(7), 0, []
for _ in range(count):
    context.launch(0.0005)
    context.synchronize()
    while held and (sum(size for _, size in held) > share // 2 or chance.random() < 0.3):
        context.free(held.pop(chance.randrange(len(held)))[0])
    size = chance.randrange(1, share // 2)
    try:
        held.append((context.malloc(size), size))
    except cuda.OutOfMemory:
        failed += 1
print(json.dumps({"failed": failed}), flush=True)
sys.stdin.readline()
"""


START_AND_TAKE = """
import json, sys, time
from rota.emulation import cuda
library = cuda.init()
print(json.dumps({"ready": True}), flush=True)
sys.stdin.readline()
library.context(0).malloc(int(sys.argv[1]))
print(json.dumps({"took": int(sys.argv[1])}), flush=True)
sys.stdin.readline()
"""


class Program(Started):
    """A program of the test's own that says a line of JSON now and then."""

    def __init__(self, node: EmulatedNode, code: str, *arguments: str) -> None:
        super().__init__(node.python(code, *arguments))

    def line(self) -> dict[str, Any]:
        assert self.process.stdout
        answer: dict[str, Any] = json.loads(self.process.stdout.readline())
        return answer

    def go(self) -> None:
        assert self.process.stdin
        self.process.stdin.write(b"\n")
        self.process.stdin.flush()


def spec(node: EmulatedNode, name: str, program: Program, *, starting: bool = False) -> ClientSpec:
    early = frozenset({program.identity}) if starting else frozenset()
    return ClientSpec(name, {node.gpus[0]: Share()}, frozenset({program.identity}), early)


def terms(node: EmulatedNode, *clients: str, replicas: int = 4, **more: Any) -> GpuTerms:
    gpu = node.gpus[0]
    total = node.inventory.memory(gpu).total
    limited = more.pop("limited", True)
    pool = Pool(gpu, total, replicas, context=CONTEXT_BYTES, limited=limited)
    return GpuTerms(pool, tuple(Claim(name) for name in clients), **more)


def share(node: EmulatedNode, replicas: int = 4) -> int:
    total = node.inventory.memory(node.gpus[0]).total
    return (total - CONTEXT_BYTES) // replicas


def ballast(node: EmulatedNode) -> int:
    """What is used and nobody's: only the gatekeeper can hold it."""
    gpu = node.gpus[0]
    used = node.inventory.memory(gpu).used
    return used - sum(process.memory_bytes for process in node.inventory.processes(gpu))


def free(node: EmulatedNode) -> int:
    return node.inventory.memory(node.gpus[0]).free


Until = Callable[..., Awaitable[Any]]


async def test_a_greedy_program_is_refused_and_its_neighbours_go_on(
    node: EmulatedNode, short: Rules, until: Until
) -> None:
    mine = share(node)
    greedy = Program(node, GREEDY)
    thrifty = [Program(node, THRIFTY, str(mine - CONTEXT_BYTES), "334") for _ in range(3)]
    programs = {"greedy": greedy} | {f"thrifty-{n}": one for n, one in enumerate(thrifty)}
    for program in programs.values():
        assert program.line()["ready"]
    clients = [spec(node, name, program) for name, program in programs.items()]
    holding = {"memory": (terms(node, *programs),), "handing": "disjoint", "rules": short}
    async with node.supervised(*clients, **holding) as supervisor:
        await until(lambda: ballast(node) > 0, "ballast")
        for program in programs.values():
            program.go()
        assert [(await _line(one))["failed"] for one in thrifty] == [0, 0, 0]
        greedy.go()
        said = await _line(greedy)
        assert mine - 20 * MIB <= said["had"] + CONTEXT_BYTES <= mine
        assert said["refused"] >= 3
        table = (await supervisor.state())["memory"][node.gpus[0]]
        assert table["enforce"] == "hard"
        assert table["clients"]["greedy"]["limit"] == mine
        limits = sum(row["limit"] for row in table["clients"].values())
        assert table["reserve"] + limits + table["unclaimed"] == table["total"]


async def test_free_memory_is_ones_own_headroom(
    node: EmulatedNode, short: Rules, until: Until
) -> None:
    code = (
        "import json, sys\n"
        "from rota.emulation import cuda\n"
        "context = cuda.init().context(0)\n"
        "print(json.dumps({'ready': True}), flush=True)\n"
        "while sys.stdin.readline():\n"
        "    print(json.dumps({'free': context.memory()[0]}), flush=True)\n"
    )
    one = Program(node, code)
    assert one.line()["ready"]
    told = terms(node, "one", "another")
    async with node.supervised(spec(node, "one", one), memory=(told,), handing="disjoint"):
        await until(lambda: ballast(node) > 0, "ballast")
        one.go()
        assert one.line()["free"] == pytest.approx(share(node) - CONTEXT_BYTES, abs=2 * MIB)


async def test_two_start_while_another_grabs_and_both_get_their_context(
    node: EmulatedNode, short: Rules, until: Until
) -> None:
    start = (
        "import json, sys\n"
        "from rota.emulation import cuda\n"
        "library = cuda.init()\n"
        "print(json.dumps({'ready': True}), flush=True)\n"
        "sys.stdin.readline()\n"
        "library.context(0)\n"
        "print(json.dumps({'context': True}), flush=True)\n"
        "sys.stdin.readline()\n"
    )
    greedy = Program(node, GREEDY)
    assert greedy.line()["ready"]
    told = terms(node, "greedy", "first", "second", replicas=3)
    clients = [spec(node, "greedy", greedy)]
    holding: dict[str, Any] = {"memory": (told,), "handing": "disjoint", "rules": short}
    async with node.supervised(*clients, **holding) as supervisor:
        await until(lambda: ballast(node) > 0, "ballast")
        greedy.go()
        await until(lambda: free(node) < 20 * MIB, "all of its share taken")
        starters = {name: Program(node, start) for name in ("first", "second")}
        for name, program in starters.items():
            assert program.line()["ready"]
            clients.append(spec(node, name, program, starting=True))
        supervisor.tell(node.node(*clients, **holding))
        await until(lambda: free(node) >= 2 * CONTEXT_BYTES, "room for two contexts")
        for program in starters.values():
            program.go()
        for program in starters.values():
            assert (await _line(program))["context"]
        greedy.go()
        assert (await _line(greedy))["had"] + CONTEXT_BYTES <= share(node, 3)


async def test_four_that_start_at_the_same_moment_each_find_what_is_theirs(
    node: EmulatedNode, short: Rules, until: Until
) -> None:
    size = share(node) * 2 // 3
    names = ("one", "two", "three", "four")
    starters = {name: Program(node, START_AND_TAKE, str(size)) for name in names}
    clients = []
    for name, program in starters.items():
        assert program.line()["ready"]
        clients.append(spec(node, name, program, starting=True))
    holding: dict[str, Any] = {
        "memory": (terms(node, *names),), "handing": "disjoint", "rules": short,
    }  # fmt: skip
    async with node.supervised(*clients, **holding):
        await until(lambda: free(node) > 3 * share(node), "room for all of them")
        for program in starters.values():
            program.go()
        for program in starters.values():
            assert (await _line(program))["took"] == size


async def test_ballast_goes_with_whoever_dies(
    node: EmulatedNode, short: Rules, until: Until
) -> None:
    greedy = Program(node, GREEDY)
    assert greedy.line()["ready"]
    told = terms(node, "greedy", "other")
    holding: dict[str, Any] = {"memory": (told,), "handing": "disjoint"}
    async with node.supervised(spec(node, "greedy", greedy), **holding) as supervisor:
        await until(lambda: ballast(node) > 0, "ballast")
        pid = supervisor.pid
        assert pid
        os.kill(pid, signal.SIGKILL)
        await until(lambda: ballast(node) == 0 or supervisor.pid not in (None, pid), "let go")
        await until(lambda: ballast(node) > 0, "and held again by the next")
    await until(lambda: ballast(node) == 0, "let go when the agent has gone")


async def test_nothing_is_held_where_nobody_is_limited_or_holds_a_replica(
    node: EmulatedNode, short: Rules, until: Until
) -> None:
    greedy = Program(node, GREEDY)
    assert greedy.line()["ready"]
    client = spec(node, "greedy", greedy)
    unlimited = {"memory": (terms(node, "greedy", limited=False),), "handing": "disjoint"}
    async with node.supervised(client, **unlimited) as supervisor:

        async def seen() -> bool:
            return node.gpus[0] in (await supervisor.state())["memory"]

        await until(seen, "a table")
        assert ballast(node) == 0
        limited = {"memory": (terms(node, "greedy"),), "handing": "disjoint"}
        supervisor.tell(node.node(client, **limited))
        await until(lambda: ballast(node) > 0, "ballast")
        supervisor.tell(node.node(memory=(terms(node),), handing="disjoint"))
        await until(lambda: ballast(node) == 0, "nobody holds a replica any more")


async def test_who_has_not_started_yet_finds_no_more_than_its_share(
    node: EmulatedNode, until: Until
) -> None:
    told = terms(node, "one")
    async with node.supervised(memory=(told,), handing="disjoint"):
        await until(lambda: ballast(node) > 0, "ballast")
        await until(lambda: free(node) == pytest.approx(share(node), abs=2 * MIB), "its share")


async def test_report_holds_nothing_and_names_who_is_over(node: EmulatedNode, until: Until) -> None:
    greedy = Program(node, GREEDY)
    assert greedy.line()["ready"]
    told = terms(node, "greedy", "other", hard=False)
    async with node.supervised(spec(node, "greedy", greedy), memory=(told,)) as supervisor:
        greedy.go()

        async def over() -> bool:
            table = (await supervisor.state())["memory"].get(node.gpus[0], {})
            return bool(table.get("offenders") == ["greedy"])

        await until(over, "an offender")
        await until(lambda: ballast(node) == 0, "nothing is held, now that it takes no more")


async def _line(program: Program) -> dict[str, Any]:
    return await asyncio.to_thread(program.line)
