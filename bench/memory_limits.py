"""The sections of `bench/memory.py` about limits and ballast."""

from __future__ import annotations

import asyncio
import importlib.util
import json
import os
import shutil
import signal
import statistics
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from typing import Any

from bench.memory_stage import GIB, MIB, PATIENCE, ROOT, Bench, Program
from rota.gatekeeper.client import read_turns
from rota.gatekeeper.doors import memory_doors
from rota.scheduling.log import Turn


async def pieces(bench: Bench) -> None:
    """What it costs to hold memory and to let it go, by the size of the pieces."""
    size = min(24 * GIB, bench.door.memory(bench.gpu).free // 2 // GIB * GIB)
    found: dict[int, tuple[float, float]] = {}
    for piece in (64 * MIB, 256 * MIB, GIB, size):
        ballast, inventory = memory_doors(bench.emulated)
        inventory.close()
        begun = time.monotonic()
        handles = await asyncio.to_thread(ballast.take, bench.gpu, [piece] * (size // piece))
        taken = time.monotonic()
        if len(handles) == size // piece and not found:
            bench.must(bench.held() >= size, "what is held is used")
        last = time.monotonic()
        await asyncio.to_thread(ballast.release, bench.gpu, handles)
        found[piece // MIB] = (taken - begun, time.monotonic() - last)
        ballast.close()
    gib = size / GIB
    text = "; ".join(
        f"{piece} MiB: take {take / gib * 1e3:.2f}, let go {go / gib * 1e3:.2f} ms a GiB"
        for piece, (take, go) in found.items()
    )
    bench.note("pieces", f"{gib:.0f} GiB in pieces of {text}", bytes=size, seconds=found)


async def greedy(bench: Bench) -> None:
    """Four clients, one of which takes until refused; the others stay inside their shares."""
    names = ("greedy", "thrifty-1", "thrifty-2", "thrifty-3")
    programs = {name: bench.start(name.partition("-")[0]) for name in names}
    for program in programs.values():
        await program.line()
    bench.tell(programs)
    table = await bench.until(lambda: _full_table(bench, names), "a table")
    limit = table["clients"]["greedy"]["limit"]
    room = min(limit - bench.use(programs[name]) for name in names[1:]) - 64 * MIB
    first = bench.use(programs["greedy"])
    begun = time.monotonic()
    programs["greedy"].tell()
    for seed, name in enumerate(names[1:]):
        programs[name].tell(room=room, count=1000, seed=seed)
    worst = asyncio.create_task(_highest(bench, programs["greedy"]))
    said = [await programs[name].line(3 * PATIENCE) for name in names[1:]]
    seconds = time.monotonic() - begun
    programs["greedy"].tell()
    took = await programs["greedy"].line()
    worst.cancel()
    failed = sum(len(one["failed"]) for one in said)
    most = max(bench.use(programs["greedy"]), bench.findings.pop("_most", 0))
    bench.must(failed == 0, "no allocation inside a share fails")
    bench.must(most <= limit, "nobody gets beyond its limit")
    bench.must(took["refusals"] > 0, "the greedy one is refused")
    bench.note(
        "greedy",
        f"limit {limit / GIB:.2f} GiB (context {first / MIB:.0f} MiB): the greedy one had "
        f"{most / GIB:.2f} GiB and was refused {took['refusals']} times; 3 × 1000 allocations in "
        f"shares, {failed} failed; {seconds:.1f} s",
        limit=limit, most=most, refusals=took["refusals"], failed=failed, seconds=seconds,
        refusal_seconds=took["slowest"], table=table,
    )  # fmt: skip
    bench.must(_adds_up(table), "the table adds up to the byte")


async def alike(bench: Bench) -> None:
    """What limits cost where clients use alike, and unlike."""
    await _cost(bench, "alike", [4, 4, 4, 4])


async def unlike(bench: Bench) -> None:
    """What they cost where one client uses 1 GiB and the other 24."""
    await _cost(bench, "unlike", [1, 24])


async def endings(bench: Bench) -> None:
    """Ballast goes with whoever dies."""
    program = bench.start("greedy")
    await program.line()
    before = bench.held()
    bench.tell({"one": program})
    table = await bench.until(lambda: _full_table(bench, ["one"]), "a table")
    held = table["ballast"]
    bench.must(held > GIB, "ballast is held")
    pid = bench.supervisor.pid
    assert pid
    begun = time.monotonic()
    os.kill(pid, signal.SIGKILL)
    await bench.until(lambda: bench.held() < before + GIB, "let go")
    seconds = time.monotonic() - begun
    await bench.until(lambda: bench.held() > before + GIB, "held again by the next")
    bench.note(
        "endings",
        f"{held / GIB:.0f} GiB of ballast gone {seconds * 1e3:.0f} ms after kill -9 of the gatekeeper",
        bytes=held,
        seconds=seconds,
    )


async def starters(bench: Bench) -> None:
    """Two programs start at once while another grabs: the whole product, by `rota run`."""
    lacking = [each for each in ("click", "structlog", "ruamel.yaml") if not _is_there(each)]
    if lacking:
        bench.note("starters", f"left out: {', '.join(lacking)} cannot be imported")
        return
    place = Path(tempfile.mkdtemp(prefix="rota", dir="/tmp"))
    config = place / "config.yaml"
    config.write_text(
        "version: v1\nsharing:\n  timeSlicing:\n    resources:\n"
        "    - {name: nvidia.com/gpu, replicas: 3}\n"
    )
    emulate = ["--emulate", _profile(bench)] if bench.emulated else []
    rota = [sys.executable, "-c", "from rota.cli.main import main; main()"]
    where = ["--run-dir", str(place / "run")]
    agent = bench.run([*rota, "agent", "--local", "--config", str(config), *where, *emulate])
    try:
        await bench.until((place / "run" / "rota.sock").exists, "an agent")
        script = str(ROOT / "bench" / "memory_programs.py")
        run = [*rota, "run", *where]
        programs = [
            bench.run([*run, "--name", f"{kind}-{n}", "--", sys.executable, script, kind])
            for n, kind in enumerate(("greedy", "starter", "starter"))
        ]
        await programs[0].line()
        programs[0].tell()
        await asyncio.sleep(2.0)
        for program in programs[1:]:
            program.tell()
        said = [await program.line() for program in programs[1:]]
        programs[0].tell()
        took = await programs[0].line()
        bench.must(all(one["context"] for one in said), "both have started")
        times = " and ".join(f"{one['seconds']:.2f}" for one in said)
        bench.note(
            "starters",
            f"two started in {times} s beside one that "
            f"had {took['had'] / GIB:.1f} GiB and was refused {took['refusals']} times",
            said=said, greedy=took,
        )  # fmt: skip
    finally:
        agent.process.terminate()
        agent.process.wait(20)
        shutil.rmtree(place, ignore_errors=True)


async def _full_table(bench: Bench, names: Sequence[str]) -> dict[str, Any] | None:
    table = await bench.table()
    rows = table.get("clients", {})
    return table if table and all(rows.get(name, {}).get("use") for name in names) else None


def _adds_up(table: Mapping[str, Any]) -> bool:
    """Limits come to all of the GPU, and so does what is where; nothing unmanaged is here."""
    rows = table["clients"].values()
    due = table["reserve"] + sum(row["limit"] for row in rows) + table["unclaimed"]
    used = sum(row["use"] for row in rows)
    where = used + table["unmanaged"] + table["ballast"] + table["system"] + table["free"]
    return bool(due == table["total"] + table["oversold"] and where == table["total"])


async def _highest(bench: Bench, program: Program) -> None:
    """Remember the most that it was seen to use."""
    while True:
        use = await asyncio.to_thread(bench.use, program)
        bench.findings["_most"] = max(bench.findings.get("_most", 0), use)
        await asyncio.sleep(0.02)


async def _cost(bench: Bench, name: str, sizes: Sequence[int]) -> None:
    """Total work with limits over that without, turns disjoint both times."""
    small = bench.door.memory(bench.gpu).total < 60 * GIB
    outs = [bench.folder / f"{name}-{n}" for n in range(len(sizes))]
    programs = {}
    for n, gib in enumerate(sizes):
        memory = gib * GIB // (8 if small else 1)
        arguments = ("trainer", "--kernel", "1ms", "--ahead", "4", "--memory", str(memory))
        programs[f"client-{n}"] = bench.work(outs[n], *arguments, "--report", "0")
    await bench.until(lambda: all(_ready(out) for out in outs), "programs")
    phases: dict[bool, list[tuple[float, float]]] = {True: [], False: []}
    gaps: dict[bool, list[float]] = {True: [], False: []}
    seen = 0
    table: dict[str, Any] = {}
    quantum = 0.0
    for limits in (False, True) * 3:
        bench.tell(programs, limits=limits, replicas=len(sizes))
        await asyncio.sleep(1.5)
        phases[limits].append((time.monotonic(), time.monotonic() + 3.0))
        await asyncio.sleep(3.1)
        seen, found = await _gaps(bench, seen, phases[limits][-1])
        gaps[limits] += found
        if limits:
            state = await bench.supervisor.state()
            table, quantum = state["memory"][bench.gpu], state["gpus"][bench.gpu]["quantum"]
    rates = {
        limits: sum(_kernels(out, *phase) for out in outs for phase in found) / (3.0 * len(found))
        for limits, found in phases.items()
    }
    part = rates[True] / rates[False]
    cost = table["handover_seconds"]
    if name == "alike" and not bench.emulated:  # the emulated GPU answers from Python
        bench.must(part > 0.995, "limits cost at most 0.5 % where clients use alike")
    bench.must(cost <= 0.02 * quantum, "a handover's ballast costs at most 2 % of a turn")
    bench.note(
        name,
        f"{' + '.join(map(str, sizes))} GiB{' ÷ 8' if small else ''}: {part:.4f} of the work "
        f"without limits; {cost * 1e3:.2f} ms of ballast a handover, turns of {quantum * 1e3:.0f} ms; "
        f"from turn to turn {_spread(gaps[True])} ms, without limits {_spread(gaps[False])}; "
        f"of them reading {table['reading_seconds'] * 1e3:.2f}",
        part=part, rates=[rates[False], rates[True]], handover_seconds=cost, quantum=quantum,
    )  # fmt: skip


async def _gaps(bench: Bench, since: int, phase: tuple[float, float]) -> tuple[int, list[float]]:
    """The seconds from one turn's end to the next one's start in a phase, by the turn log."""
    turns: list[Turn] = []
    while True:
        next_, page = await asyncio.to_thread(read_turns, bench.folder / "run", since)
        turns += page
        if next_ == since:
            break
        since = next_
    turns = sorted((t for t in turns if phase[0] <= t.start < phase[1]), key=lambda t: t.start)
    return since, [later.start - earlier.end for earlier, later in pairwise(turns)]


def _spread(gaps: Sequence[float]) -> str:
    """Median and the largest of them, in milliseconds, and how many there were."""
    if not gaps:
        return "none"
    return f"{statistics.median(gaps) * 1e3:.2f} (at most {max(gaps) * 1e3:.1f}, {len(gaps)} times)"


def _is_there(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ImportError:
        return False


def _ready(out: Path) -> bool:
    return out.exists() and '"ready"' in out.read_text()


def _kernels(out: Path, begin: float, end: float) -> int:
    """Kernels that ended in that time."""
    seen = []
    for line in out.read_text().splitlines():
        with suppress(ValueError):
            entry = json.loads(line)
            if entry["event"] == "progress" and begin <= entry["at"] <= end:
                seen.append(int(entry["kernels"]))
    return seen[-1] - seen[0] if len(seen) > 1 else 0


def _profile(bench: Bench) -> str:
    return str(bench.findings["machine"]["profile"])
