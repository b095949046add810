"""The sections of `bench/paging.py` in which something is refused, or somebody dies."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from dataclasses import replace
from typing import Any

from bench.memory_stage import GIB, Bench, Program
from bench.paging_stage import GRANTED, IDLE, filled, is_known, node, off, place, some, until_place
from rota.errors import RotaError


async def refusals(bench: Bench) -> None:
    """Everything for which nobody is paged out, provoked."""
    said: dict[str, str] = {}
    notebook = await filled(bench, GIB)
    unfit = bench.start("unfit")
    await unfit.line()
    unfit.tell()
    await unfit.line()
    programs = {"notebook": notebook, "unfit": unfit}
    said["never"] = await _paused(bench, programs, "notebook", never=("notebook",))
    small = replace(GRANTED, host_bytes=GIB)
    said["host"] = await _paused(bench, programs, "notebook", paging=small)
    bad = off("the driver is known to do harm", bench)
    said["driver"] = await _paused(bench, programs, "notebook", paging=bad)
    said["unknown"] = await _paused(bench, programs, "nobody")
    said["unfit"] = await _paused(bench, programs, "unfit")
    said["unfit again"] = await _paused(bench, programs, "unfit")
    said["cgroup"] = await _in_a_cgroup(bench, programs)
    for name, words in (
        ("never", "never"), ("host", "no room"), ("driver", "harm"), ("unknown", "nothing"),
        ("unfit", ""), ("unfit again", "cannot checkpoint"),
    ):  # fmt: skip
        if name.startswith("unfit") and not bench.emulated:
            continue  # driver 580 checkpoints memory that others could open, if nobody does
        bench.must(bool(said[name]) and words in said[name], f"refused: {name}: {said[name]}")
    for program in programs.values():
        program.tell()
    bench.must((await notebook.line())["wrong"] == 0, "who stayed runs on, data and all")
    bench.note("refusals", "; ".join(f"{k}: {v or 'NOT REFUSED'}" for k, v in said.items()), **said)


async def killed_out(bench: Bench) -> None:
    """kill -9 of the gatekeeper while a client is on its way out."""
    size = some(bench)
    program = await filled(bench, size)
    bench.supervisor.tell(node(bench, {"job": program}))
    await bench.until(lambda: is_known(bench, "job"), "the client is known")
    await bench.supervisor.page("job", out=True)
    await until_place(bench, "job", "leaving")
    await asyncio.sleep(0.3)
    was = (await place(bench, "job")).get("place")
    taken = await _killed(bench)
    after = await _settled(bench, "job")
    begun = time.monotonic()
    if after == "out":
        await bench.supervisor.page("job", out=False)
        await until_place(bench, "job", "resident")
    program.tell()
    line = await program.line()
    bench.must(line["wrong"] == 0, "a program outlives the death of its pager, data and all")
    bench.note(
        "killed-out",
        f"{size / GIB:.0f} GiB, killed while {was}: another gatekeeper after {taken:.1f} s, then "
        f"{after}, back after {time.monotonic() - begun:.1f} s; {line['wrong']} pieces wrong",
        was=was, after=after, wrong=line["wrong"],
    )  # fmt: skip


async def killed_in(bench: Bench) -> None:
    """kill -9 of the gatekeeper while a client is on its way back, and another one waits."""
    size = some(bench)
    program = await filled(bench, size)
    other = await filled(bench, GIB)
    programs = {"job": program, "other": other}
    bench.supervisor.tell(node(bench, programs))
    await bench.until(lambda: is_known(bench, "job"), "the client is known")
    await bench.supervisor.page("job", out=True)
    await until_place(bench, "job", "out")
    await bench.supervisor.page("job", out=False)
    program.tell()
    await until_place(bench, "job", "entering")
    await asyncio.sleep(0.2)
    was = (await place(bench, "job")).get("place")
    other.tell()
    taken = await _killed(bench)
    begun = time.monotonic()
    line = await program.line()
    took = time.monotonic() - begun
    theirs = await other.line()
    bench.must(line["wrong"] == 0, "a program outlives the death of its pager, data and all")
    bench.must(theirs["wrong"] == 0, "and so does its neighbour")
    bench.note(
        "killed-in",
        f"{size / GIB:.0f} GiB, killed while {was}: another gatekeeper after {taken:.1f} s, and the "
        f"program worked {took:.1f} s later; {line['wrong']} pieces wrong",
        was=was, wrong=line["wrong"], took=took,
    )  # fmt: skip


async def _paused(bench: Bench, programs: dict[str, Program], client: str, **terms: Any) -> str:
    """Why a client cannot be paged out by hand; empty if it is."""
    bench.supervisor.tell(node(bench, programs, **terms))
    await bench.until(lambda: is_known(bench, next(iter(programs))), "the clients are known")
    await asyncio.sleep(0.3)
    try:
        await bench.supervisor.page(client, out=True)
    except RotaError as error:
        return str(error)

    async def done() -> dict[str, Any] | None:
        known = await place(bench, client)
        return (
            known if not known.get("asked") and known.get("place") in ("out", "resident") else None
        )

    known = await bench.until(done, f"{client} out, or not")
    if known["place"] == "out":
        await bench.supervisor.page(client, out=False)
        await until_place(bench, client, "resident")
        return ""
    return str(known["error"])


async def _in_a_cgroup(bench: Bench, programs: dict[str, Program]) -> str:
    """The same in a memory cgroup that has no room for the copy; why not where none can be made."""
    folder = _cgroup()
    if folder is None:
        return "no memory cgroup can be made here"
    program = bench.start("notebook")
    try:
        limit = "memory.max" if (folder / "memory.max").exists() else "memory.limit_in_bytes"
        (folder / "cgroup.procs").write_text(str(program.process.pid))
        await program.line()
        program.tell(bytes=GIB)
        await program.line()
        (folder / limit).write_text(str(int(1.2 * GIB)))
        why = await _paused(bench, {**programs, "small": program}, "small")
        bench.must("no room" in why, f"refused: cgroup: {why}")
        return why
    except OSError as error:
        return f"no memory cgroup can be used here: {error.strerror}"
    finally:
        program.end()
        bench.programs.remove(program)
        await asyncio.sleep(0.2)
        try:
            folder.rmdir()
        except OSError:
            print(f"  {folder} stays", flush=True)


def _cgroup() -> Any:
    """A new memory cgroup below the root; None where that cannot be."""
    from rota.gatekeeper.host import Host

    for mount in Host()._mounts():
        folder = mount.place / f"rota-bench-{os.getpid()}"
        try:
            folder.mkdir()
        except OSError:
            continue
        if (folder / "memory.max").exists() or (folder / "memory.limit_in_bytes").exists():
            return folder
        folder.rmdir()
    return None


async def _killed(bench: Bench) -> float:
    """Kill the gatekeeper; the seconds until another one answers."""
    pid, starts, begun = bench.supervisor.pid, bench.supervisor.starts, time.monotonic()
    assert pid
    os.kill(pid, signal.SIGKILL)
    await bench.until(lambda: bench.supervisor.starts > starts and bench.supervisor.pid, "another")
    return time.monotonic() - begun


async def _settled(bench: Bench, client: str) -> str:
    """Where the new gatekeeper finds it, once that is known."""

    async def known() -> str | None:
        state = await bench.supervisor.state()
        if not state["clients"].get(client, {}).get("pids"):
            return None
        where: str = state["paging"].get(client, {}).get("place", "resident")
        return where

    await asyncio.sleep(IDLE)
    found: str = await bench.until(known, f"{client} is known again")
    return found
