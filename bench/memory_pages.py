"""The sections of `bench/memory.py` about paging, by the door alone."""

from __future__ import annotations

import asyncio
import sys
import time
from contextlib import suppress

from bench.memory_stage import GIB, Bench, Program
from rota.gatekeeper.doors import gate_door, let_go
from rota.gatekeeper.journal import Process
from rota.gpu.demand import ProcessDemand
from rota.gpu.doors import GateDoor, GateError, GateState


async def page(bench: Bench) -> None:
    """A notebook goes to host memory and comes back, by the door alone: time, and every bit."""
    size = min(8 * GIB, bench.door.memory(bench.gpu).free // 4 // GIB * GIB)
    program = await _filled(bench, size)
    gates, who = gate_door(bench.emulated), program.identity
    begun = time.monotonic()
    await asyncio.to_thread(gates.close, *who, 5.0)
    await asyncio.to_thread(gates.page_out, *who)
    out = time.monotonic() - begun
    bench.must(gates.state(*who) is GateState.PAGED_OUT, "it is out")
    bench.must(bench.use(program) == 0, "it holds no memory of the GPU, and is not listed")
    demand = ProcessDemand(*who)
    program.tell()
    await bench.until(demand.wants, "its next call is seen waiting")
    begun = time.monotonic()
    await asyncio.to_thread(gates.page_in, *who)
    back = time.monotonic() - begun
    gates.open(*who)
    said = await program.line()
    bench.must(said["wrong"] == 0, "its data is intact to the bit")
    demand.close()
    let_go(gates)
    bench.note(
        "page",
        f"{size / GIB:.0f} GiB out in {out:.2f} s, in in {back:.2f} s; {said['wrong']} of "
        f"{said['pieces']} pieces wrong",
        bytes=size, seconds_out=out, seconds_in=back, wrong=said["wrong"],
    )  # fmt: skip


async def unfit(bench: Bench) -> None:
    """What cannot be checkpointed says so and runs on."""
    program = bench.start("unfit")
    await program.line()
    program.tell()
    await program.line()
    gates, who = gate_door(bench.emulated), program.identity
    gates.close(*who, 5.0)
    try:
        await asyncio.to_thread(gates.page_out, *who)
        answer = "it was paged out"
    except GateError as error:
        answer = f"{type(error).__name__}: {error}"
    state = gates.state(*who)
    bench.must(state is GateState.CLOSED, "it is as it was before")
    let_go(gates)
    bench.note(
        "unfit",
        f"what cannot be checkpointed: {answer}; then {state}",
        answer=answer,
        state=str(state),
    )


async def killed(bench: Bench) -> None:
    """kill -9 of whoever pages, in the middle of a page-out and of a page-in."""
    size = min(8 * GIB, bench.door.memory(bench.gpu).free // 4 // GIB * GIB)
    program = await _filled(bench, size)
    gates, who = gate_door(bench.emulated), program.identity
    gates.close(*who, 5.0)
    seen = {}
    for verb, goal in (("page_out", GateState.PAGED_OUT), ("page_in", GateState.CLOSED)):
        pager = bench.run(
            [sys.executable, "-c", PAGER, verb, str(bench.emulated or ""), *map(str, who)]
        )
        await pager.line()
        await asyncio.sleep(0.3)
        in_time = pager.process.poll() is None
        pager.process.kill()
        begun = time.monotonic()
        first = await _state(gates, who)
        state = await _settled(gates, who, goal)
        seen[verb] = {"killed": in_time, "first": str(first), "then": str(state),
                      "seconds": time.monotonic() - begun}  # fmt: skip
        if state is not goal:  # the step was given up: it can be taken again
            with suppress(GateError):
                await asyncio.to_thread(getattr(gates, verb), *who)
    text = "; ".join(
        f"{verb}: {one['first']}, and {one['then']} after {one['seconds']:.1f} s"
        for verb, one in seen.items()
    )
    with suppress(GateError):
        gates.open(*who)
    program.tell()
    said = await program.line()
    bench.must(said["wrong"] == 0, "a program outlives the death of its pager, data and all")
    let_go(gates)
    bench.note("killed", f"{text}; {said['wrong']} pieces wrong", **seen)


PAGER = """
import sys
from pathlib import Path
from rota.gatekeeper.doors import gate_door
verb, folder, pid, started = sys.argv[1:]
door = gate_door(Path(folder) if folder else None)
try:
    door.state(int(pid), int(started))
finally:
    print("{}", flush=True)
getattr(door, verb)(int(pid), int(started))
"""


async def _filled(bench: Bench, size: int) -> Program:
    program = bench.start("notebook")
    await program.line()
    program.tell(bytes=size)
    await program.line()
    return program


async def _settled(gates: GateDoor, who: Process, goal: GateState) -> GateState | str:
    """The state once it is the goal, or after ten seconds."""
    state = await _state(gates, who)
    for _ in range(200):
        if state is goal:
            break
        await asyncio.sleep(0.05)
        state = await _state(gates, who)
    return state


async def _state(gates: GateDoor, who: Process) -> GateState | str:
    """The state, or that the driver does not tell it in time."""
    with suppress(TimeoutError):
        return await asyncio.wait_for(asyncio.to_thread(gates.state, *who), 8.0)
    return "no answer"
