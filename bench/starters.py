"""How long a starting process goes unseen, on the emulated GPU, and what looking for it costs.

    .venv/bin/python bench/starters.py [--programs N] [--processes N] [--out FILE]

Programs initialize CUDA at random times, wait 0.4 s and make a context. Measured is the time from
the call of `cuInit` until the node that the gatekeeper is told names the process as starting; the
message itself takes well below 1 ms. Then the cost of a look, among so many other processes.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from statistics import median, quantiles

import structlog

from rota.agent.order import Order, Wish, node_of
from rota.clients.picture import LocalJob, Picture, ProcessKey
from rota.clients.processes import Processes
from rota.clients.sightings import Place, Sightings
from rota.clients.starters import NEW, DeviceFiles, Starters
from rota.clients.watch import PERIOD, ClientWatch
from rota.emulation import driver
from rota.emulation.inventory import EmulatedInventory
from rota.emulation.profiles import parse_emulation
from rota.gpu.processes import started
from rota.model import Replica

PROGRAM = """
import time
from rota.emulation import cuda
input()
begun = time.monotonic()
library = cuda.init()
ready = time.monotonic()
time.sleep(0.4)
library.context(0)
print(begun, ready, time.monotonic(), flush=True)
input()
"""
LOOKS = 300


class Told:
    """When each pid was first told as starting."""

    def __init__(self) -> None:
        self.at: dict[int, float] = {}

    def __call__(self, picture: Picture) -> None:
        for client in node_of(picture, Order(), lambda _: Wish()).clients:
            for process in client.starting:
                self.at.setdefault(process.pid, time.monotonic())


async def measure(folder: Path, programs: int) -> tuple[list[float], list[float], list[float]]:
    """Milliseconds: from cuInit until told, from its end until told, and until the context."""
    inventory = parse_emulation("h200")
    emulation = driver.start(inventory, folder)
    door, gpu, told = EmulatedInventory(folder), inventory.gpus[0].uuid, Told()
    root = ProcessKey(os.getpid(), started(os.getpid()) or 0)
    job = LocalJob("bench", "bench", os.geteuid(), root, (Replica(gpu, 0),))
    files = DeviceFiles.emulated(folder, inventory.gpus)
    sightings = Sightings(door, (gpu,), Place(folder), files=files)
    watch = ClientWatch(sightings, told, structlog.get_logger(), jobs=lambda: (job,))
    task = asyncio.create_task(watch.run())
    rows = [await program(emulation.environment, told) for _ in range(programs)]
    task.cancel()
    await asyncio.wait([task])
    door.close()
    emulation.stop()
    calls, ends, contexts = zip(*rows, strict=True)
    return list(calls), list(ends), list(contexts)


async def program(environment: Mapping[str, str], told: Told) -> tuple[float, float, float]:
    """One program from its start to its end; `nan` where it was never told."""
    pipe = asyncio.subprocess.PIPE
    one = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", PROGRAM), env={**os.environ, **environment}, stdin=pipe, stdout=pipe
    )
    assert one.stdin
    assert one.stdout
    await asyncio.sleep(random.uniform(0.5, 0.5 + 2 * PERIOD))
    one.stdin.write(b"\n")
    begun, ready, context = map(float, (await one.stdout.readline()).split())
    one.stdin.write(b"\n")
    await one.wait()
    seen = told.at.get(one.pid, float("nan"))
    return (seen - begun) * 1e3, (seen - ready) * 1e3, (context - begun) * 1e3


def cost(processes: int) -> tuple[int, float, float, float]:
    """(processes there were; milliseconds of the first look, of a later one, and of an idle one).

    At a later look some process is new, so that all are listed; at an idle one none is.
    """
    with ExitStack() as stack:
        for _ in range(max(0, processes - len(Processes().pids()))):
            sleeper = subprocess.Popen(["sleep", "1000"])
            stack.callback(sleeper.wait)
            stack.callback(sleeper.kill)
        files = DeviceFiles({"/dev/nvidia0": "GPU-0"})
        starters = Starters(files, Processes())
        first = looks(starters, 1, 0.0, 1)
        looks(starters, 100, NEW, 1)
        busy, idle = looks(starters, LOOKS, 1000.0, 1), looks(starters, LOOKS, 2000.0, PERIOD)
        return len(Processes().pids()), first, busy, idle


def looks(starters: Starters, count: int, start: float, step: float) -> float:
    """Milliseconds of processor time of each look, one every `step` seconds of its own clock."""
    begun = time.thread_time()
    for number in range(count):
        starters.look((), (), (), lambda _: None, start + number * step)
    return (time.thread_time() - begun) / count * 1e3


def line(title: str, values: list[float]) -> str:
    """A row of the table."""
    cuts = quantiles(values, n=20)
    cells = (min(values), median(values), cuts[-1], max(values))
    return f"| {title} | {' | '.join(f'{cell:.0f}' for cell in cells)} |"


def report(calls: list[float], ends: list[float], contexts: list[float], processes: int) -> str:
    """All of it as Markdown."""
    known = [index for index, value in enumerate(calls) if value == value]
    there, first, busy, idle = cost(processes)
    return "\n".join(
        [
            f"# Starting processes, emulated GPU, {time.strftime('%Y-%m-%d')}",
            "",
            f"{len(calls)} programs, {len(known)} told as starting before their context; "
            f"a look every {PERIOD * 1e3:.0f} ms; {os.cpu_count()} cores. Milliseconds:",
            "",
            "| | min | median | p95 | max |",
            "| --- | --- | --- | --- | --- |",
            line("call of cuInit → told", [calls[index] for index in known]),
            line("end of cuInit → told", [ends[index] for index in known]),
            line("call of cuInit → context", contexts),
            "",
            f"Looking among {there} processes costs {busy:.2f} ms of processor time where one has "
            f"come since the last look, {busy / PERIOD / 10:.2f} % of a core if that is always so; "
            f"{idle:.2f} ms or {idle / PERIOD / 10:.2f} % where none comes; the first look "
            f"{first:.0f} ms.",
            "",
        ]
    )


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--programs", type=int, default=60)
    parser.add_argument("--processes", type=int, default=500)
    parser.add_argument("--out", type=Path)
    wanted = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="rota", dir="/tmp"))
    try:
        measured = asyncio.run(measure(folder / "gpu", wanted.programs))
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    text = report(*measured, wanted.processes)
    print(text)
    if wanted.out:
        wanted.out.write_text(text)


if __name__ == "__main__":
    main()
