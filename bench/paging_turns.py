"""The sections of `bench/paging.py` in which everything goes well."""

from __future__ import annotations

import asyncio
import time
from typing import Any

from bench.memory_stage import GIB, Bench, Program
from bench.paging_stage import (
    IDLE,
    context,
    filled,
    is_known,
    join,
    node,
    place,
    pool,
    some,
    until_place,
)
from rota.errors import GpuError


async def idle(bench: Bench) -> None:
    """A notebook that idles makes room for a newcomer, and is back at its next cell."""
    size = some(bench)
    rest = bench.door.memory(bench.gpu).total - 5 * size
    programs: dict[str, Program] = {}
    own = {"notebook": 2 * size, "newcomer": 4 * size}
    if rest > GIB:  # a large GPU is made small by somebody who never goes
        programs["filler"] = await filled(bench, rest - 2 * context(bench), "occupant")
        own["filler"] = rest
    programs["notebook"] = notebook = await filled(bench, size)
    terms: dict[str, Any] = {"oversubscribe": 2.0, "never": ("filler",), "own": own}
    bench.supervisor.tell(node(bench, programs, **terms))
    await asyncio.sleep(2 * IDLE)
    begun = time.monotonic()
    newcomer = await join(bench, programs, "newcomer", "occupant", **terms)
    newcomer.tell(bytes=(4 * size - 2 * context(bench)) // 2**26 * 2**26)
    said = await newcomer.line()
    waited = time.monotonic() - begun
    bench.must(said["refused"] == 0, "a newcomer within its limit is not refused")
    out = await until_place(bench, "notebook", "out")
    bench.must(bench.use(notebook) == 0, "who is out holds no memory of the GPU")
    back = await _cell(notebook)
    await until_place(bench, "notebook", "resident")
    newcomer.tell()
    theirs = await newcomer.line()
    bench.must(back["wrong"] == 0, "its data is intact to the bit")
    bench.must(theirs["wrong"] == 0, "and so is the newcomer's")
    bench.note(
        "idle",
        f"{size / GIB:.0f} GiB out in {out['seconds_out']:.2f} s for a newcomer that took "
        f"{said['filled'] / GIB:.1f} GiB {waited:.1f} s after it began; its next cell took "
        f"{back['seconds']:.2f} s, {back['wrong']} of {back['pieces']} pieces wrong",
        bytes=size, seconds_out=out["seconds_out"], cell=back["seconds"], wrong=back["wrong"],
        newcomer=said, newcomer_wrong=theirs["wrong"], waited=waited,
    )  # fmt: skip


async def pause(bench: Bench) -> None:
    """By hand out, and by hand back; in between it stays out though it wants the GPU."""
    size = some(bench)
    program = await filled(bench, size)
    bench.supervisor.tell(node(bench, {"job": program}))
    await bench.until(lambda: is_known(bench, "job"), "the client is known")
    begun = time.monotonic()
    await bench.supervisor.page("job", out=True)
    out = await until_place(bench, "job", "out")
    seconds_out = time.monotonic() - begun
    bench.must(bench.use(program) == 0, "who is paused holds no memory of the GPU")
    program.tell()
    await asyncio.sleep(1.0)
    still = await place(bench, "job")
    bench.must(still.get("place") == "out", "it stays out until it is let back")
    begun = time.monotonic()
    await bench.supervisor.page("job", out=False)
    await until_place(bench, "job", "resident")
    seconds_in = time.monotonic() - begun
    said = await program.line()
    bench.must(said["wrong"] == 0, "its data is intact to the bit")
    bench.note(
        "pause",
        f"{size / GIB:.0f} GiB out in {seconds_out:.2f} s, in in {seconds_in:.2f} s; "
        f"{said['wrong']} of {said['pieces']} pieces wrong",
        bytes=out["bytes"], seconds_out=seconds_out, seconds_in=seconds_in, wrong=said["wrong"],
    )  # fmt: skip


async def rotate(bench: Bench) -> None:
    """Three that have 40 % of the GPU each take their turns on it, by idleness."""
    names = ("one", "two", "three")
    size = (_limit(bench, 3, 1.2) - context(bench) * 3 // 2) // 2**26 * 2**26
    programs: dict[str, Program] = {}
    watching = asyncio.create_task(_most(bench, most := [0]))
    begun = time.monotonic()
    try:
        for name in names:
            await join(bench, programs, name, "occupant", replicas=3, oversubscribe=1.2)
            programs[name].tell(bytes=size)
            said = await programs[name].line()
            bench.must(said["refused"] == 0, f"{name} has what its limit says")
            await asyncio.sleep(2 * IDLE)
        rounds: list[dict[str, Any]] = []
        for name in names:
            back = await _cell(programs[name])
            rounds.append({"client": name, **back})
            bench.must(back["wrong"] == 0, f"{name} is intact")
    finally:
        watching.cancel()
    cells = ", ".join(f"{one['client']} {one['seconds']:.1f} s" for one in rounds)
    total = bench.door.memory(bench.gpu).total
    bench.must(most[0] <= total, "what is resident never exceeds the GPU")
    bench.note(
        "rotate",
        f"3 × {size / GIB:.1f} GiB of {total / GIB:.0f}, {time.monotonic() - begun:.0f} s: {cells}; "
        f"at most {most[0] / GIB:.1f} GiB on the GPU; nobody lost",
        bytes=size, rounds=rounds, most=most[0], total=total, seconds=time.monotonic() - begun,
    )  # fmt: skip


async def _cell(program: Program) -> dict[str, Any]:
    """Its next cell: how long until it had worked, and whether its data is there."""
    program.tell()
    return await program.line()


async def _most(bench: Bench, most: list[int]) -> None:
    """What is on the GPU at most, of programs."""
    while True:
        try:
            listed = await asyncio.to_thread(bench.door.processes, bench.gpu)
            most[0] = max(most[0], sum(each.memory_bytes for each in listed))
        except GpuError:
            pass
        await asyncio.sleep(0.05)


def _limit(bench: Bench, replicas: int, oversubscribe: float) -> int:
    return pool(bench, replicas, oversubscribe).share(1)
