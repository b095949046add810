"""What the gatekeeper costs: `python bench/gatekeeper.py [--quick] [--against SRC] [--json FILE]`.

A real gatekeeper runs the turns of real programs on the emulated GPU. Each program has sixteen
sleeping threads besides its own, as PyTorch has. Everything is read from outside: processor time
of all its threads from schedstat, rounds of its loop as voluntary switches of its first thread,
reads of files (nearly all of /proc) as `syscr`, handovers from the turn log.

With `--against` another version's `src` is measured as well, in turn with this one and over the same
programs: on a machine with other work only the ratio of two neighbouring windows means something.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from bench import machine, proc
from rota.emulation import driver
from rota.emulation.inventory import EmulatedInventory
from rota.emulation.profiles import parse_emulation
from rota.gatekeeper.journal import Process
from rota.gatekeeper.messages import ClientSpec, Node, Settings
from rota.gatekeeper.supervisor import Supervisor
from rota.gpu.processes import started
from rota.scheduling.terms import Share

ROOT = Path(__file__).resolve().parents[1]
BUSY = "trainer --kernel 2ms --ahead 2"
IDLE = "notebook --think 1h --kernel 1ms"
SCENARIOS: dict[str, tuple[float | None, list[str]]] = {
    "no client": (0.3, []),
    "one alone": (0.3, [BUSY]),
    "one busy, three idle": (1.5, [BUSY, IDLE, IDLE, IDLE]),
    "four contending": (3.0, [BUSY] * 4),
}
"""Name → the aim in % of a core, and the programs."""

SETTLE = 4.0
"""Seconds from the start of a gatekeeper until it is measured."""

PROGRAM = """
import sys, threading
for _ in range(16):
    threading.Thread(target=threading.Event().wait, daemon=True).start()
from rota.emulation.workloads import main
main()
"""

Figures = dict[str, float]


@dataclass(slots=True)
class Stage:
    """An emulated GPU, and where the gatekeeper's folder is."""

    folder: Path
    emulation: driver.Emulation
    gpu: str


def main() -> None:
    """Measure, print the table, and keep the figures where asked."""
    options = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    options.add_argument("--quick", action="store_true", help="once and briefly")
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument("--seconds", type=float, default=8.0, help="length of each window")
    options.add_argument("--only", action="append", choices=SCENARIOS, metavar="SCENARIO")
    options.add_argument("--against", type=Path, metavar="SRC", help="another version's src")
    options.add_argument("--json", type=Path, metavar="FILE", help="write every value there")
    given = options.parse_args()
    if given.quick:
        given.rounds, given.seconds = 1, 3.0
    sides = {"now": ROOT / "src"} | ({"before": given.against} if given.against else {})
    found = {
        name: asyncio.run(_scenario(name, sides, given.rounds, given.seconds))
        for name in given.only or SCENARIOS
    }
    document = {
        "machine": machine.describe(),
        "load": machine.load(),
        "windows": {"rounds": given.rounds, "seconds": given.seconds},
        "scenarios": found,
    }
    if given.json:
        given.json.write_text(json.dumps(document, indent=1) + "\n")
    print(_text(document))


async def _scenario(
    name: str, sides: dict[str, Path], rounds: int, seconds: float
) -> dict[str, list[Figures]]:
    """Every side's windows, over the same programs, one after the other."""
    found: dict[str, list[Figures]] = {side: [] for side in sides}
    with _stage() as stage, _programs(stage, SCENARIOS[name][1]) as clients:
        for number in range(rounds):
            for side, source in sides.items():
                print(f"{name}, {side}, {number + 1}/{rounds} …", file=sys.stderr)
                async with _gatekeeper(stage, source, clients) as supervisor:
                    found[side].append(await _window(supervisor, seconds))
    return found


@contextmanager
def _stage() -> Iterator[Stage]:
    folder = Path(tempfile.mkdtemp(prefix="rota"))
    emulation = driver.start(parse_emulation("t4"), folder / "gpu")
    inventory = EmulatedInventory(folder / "gpu")
    try:
        yield Stage(folder, emulation, inventory.inventory().gpus[0].uuid)
    finally:
        inventory.close()
        emulation.stop()
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _programs(stage: Stage, commands: list[str]) -> Iterator[tuple[ClientSpec, ...]]:
    environment = {**os.environ, **stage.emulation.environment}
    running = [
        subprocess.Popen(
            [sys.executable, "-c", PROGRAM, *command.split(), "--out", stage.folder / f"out-{n}"],
            env=environment,
            stdout=subprocess.DEVNULL,
        )
        for n, command in enumerate(commands)
    ]
    try:
        for n in range(len(running)):
            _await_line(stage.folder / f"out-{n}", '"ready"')
        yield tuple(_client(stage, n, each.pid) for n, each in enumerate(running))
    finally:
        for each in running:
            each.kill()
            each.wait()


def _await_line(file: Path, word: str) -> None:
    end = time.monotonic() + 60
    while not (file.exists() and word in file.read_text()):
        if time.monotonic() > end:
            raise SystemExit(f"{file.name}: not on the GPU within a minute")
        time.sleep(0.02)


def _client(stage: Stage, number: int, pid: int) -> ClientSpec:
    processes = frozenset({Process(pid, started(pid) or 0)})
    return ClientSpec(f"client-{number}", {stage.gpu: Share()}, processes)


@asynccontextmanager
async def _gatekeeper(
    stage: Stage, source: Path, clients: tuple[ClientSpec, ...]
) -> AsyncIterator[Supervisor]:
    """That version's gatekeeper, told by this version's agent side."""
    runtime = stage.folder / "run"
    keeper = _start(stage, runtime, source)
    supervisor = Supervisor(runtime, emulated=stage.folder / "gpu", spawn=False)
    supervisor.tell(Node(Settings(), clients))
    task = asyncio.create_task(supervisor.run())
    try:
        await asyncio.sleep(SETTLE)
        if supervisor.pid != keeper.pid:
            raise SystemExit(f"no gatekeeper: {supervisor.problem}")
        yield supervisor
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        keeper.terminate()
        await asyncio.to_thread(keeper.wait)


def _start(stage: Stage, runtime: Path, source: Path) -> subprocess.Popen[bytes]:
    where = ["--runtime", str(runtime), "--emulated", str(stage.folder / "gpu")]
    environment = {**os.environ, "PYTHONPATH": str(source)}
    return subprocess.Popen([sys.executable, "-m", "rota.gatekeeper", *where], env=environment)


async def _window(supervisor: Supervisor, seconds: float) -> Figures:
    before, begun = await _counts(supervisor), time.perf_counter()
    await asyncio.sleep(seconds)
    after, took = await _counts(supervisor), time.perf_counter() - begun
    figures = {key: (after[key] - before[key]) / took for key in after}
    figures["cpu"] *= 100
    return figures


async def _counts(supervisor: Supervisor) -> Figures:
    """Counters of the gatekeeper since its start."""
    pid = supervisor.pid
    assert pid
    status = _fields(Path(f"/proc/{pid}/status"))
    return {
        "handovers": float((await supervisor.state())["turns"]),
        "cpu": proc.seconds(proc.spent(pid)),
        "rounds": float(status["voluntary_ctxt_switches"]),
        "reads": float(_fields(Path(f"/proc/{pid}/io"))["syscr"]),
    }


def _fields(file: Path) -> dict[str, str]:
    pairs = (line.partition(":") for line in file.read_text().splitlines())
    return {name: value.strip() for name, _, value in pairs}


def _text(document: dict[str, Any]) -> str:
    windows = document["windows"]
    lines = [
        f"Emulated GPU. {machine.sentence(document['machine'])}",
        f"\n{windows['rounds']} windows of {windows['seconds']:g} s; quantum 100 ms, overlapped; "
        f"load average {document['load']} at the end. Medians, in brackets least and most.\n",
        "| scenario | version | % of a core | of before | aim | rounds/s | reads/s | handovers/s |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for name, sides in document["scenarios"].items():
        lines += [_line(name, side, sides) for side in reversed(list(sides))]
    return "\n".join(lines)


def _line(name: str, side: str, sides: dict[str, list[Figures]]) -> str:
    windows, ratio = sides[side], ""
    if side == "now" and "before" in sides:
        pairs = zip(windows, sides["before"], strict=True)
        ratio = f"{median(now['cpu'] / before['cpu'] for now, before in pairs):.2f}"
    cpu = [window["cpu"] for window in windows]
    rest = (f"{median(w[key] for w in windows):.0f}" for key in ("rounds", "reads"))
    handovers = f"{median(w['handovers'] for w in windows):.1f}"
    spread = f"{median(cpu):.2f} ({min(cpu):.2f}–{max(cpu):.2f})"
    cells = (name, side, spread, ratio, str(SCENARIOS[name][0]), *rest, handovers)
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    main()
