"""A trace of four PyTorch programs in turns, and each client's figures beside the driver's own.

    python bench/trace.py [--seconds 15] [--out DIR] [--emulate PROFILE]

For a machine with an NVIDIA GPU and PyTorch: a local agent, three trainers and a notebook under
`rota run`, and `rota trace` over them. Meanwhile NVML is asked for its per-process utilisation,
here and past Rota. Exit code 1 where a client's GPU % is more than three points off. In DIR:
trace.json, trace.png (with matplotlib; else draw it elsewhere with `rota trace --from`) and
figures.json. With --emulate, emulated programs on an emulated GPU: to try the script itself.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from bench.machine import path_with
from rota.agent.doors import attach_inventory
from rota.errors import RotaError
from rota.figures.model import ClientFigures, Snapshot
from rota.figures.reader import Reader

HERE = Path(__file__).resolve()
ROTA = [sys.executable, "-m", "rota"]
CONFIG = """\
version: v1
sharing:
  timeSlicing:
    resources:
    - {name: nvidia.com/gpu, replicas: 4}
"""
PROGRAMS = {"trainer-a": 2, "trainer-b": 4, "trainer-c": 6, "notebook": 3}
"""Name → GiB that it holds."""

POINTS = 3.0
"""How far a client's GPU % may be from the driver's, in percentage points."""

LOOK = 0.2
UP = 120.0
"""Seconds until all programs work: PyTorch's import from a cold disk takes its time."""


def program(name: str, gib: int, ready: Path) -> None:
    """One PyTorch program: products in bf16 for ever; a notebook thinks in between."""
    import torch

    held = torch.empty(gib << 30, dtype=torch.uint8, device="cuda")
    a, b = (torch.randn(4096, 4096, device="cuda", dtype=torch.bfloat16) for _ in range(2))
    while True:
        for _ in range(1000 if name == "notebook" else 100):
            torch.mm(a, b)
        torch.cuda.synchronize()
        if not ready.exists():
            ready.write_text(str(held.numel()))
        if name == "notebook":
            time.sleep(0.5)


class Stage:
    """An agent and its four programs in a folder of their own."""

    def __init__(self, folder: Path, emulate: str) -> None:
        self.folder, self.run_dir = folder, folder / "run"
        self._emulate = emulate
        self._running: list[subprocess.Popen[bytes]] = []
        (folder / "config.yaml").write_text(CONFIG)

    def start(self) -> None:
        """Returns when all programs work.

        Raises:
            SystemExit: they do not in time.
        """
        emulate = ("--emulate", self._emulate) if self._emulate else ()
        where = ("--run-dir", str(self.run_dir), "--config", str(self.folder / "config.yaml"))
        self._spawn("agent", [*ROTA, "agent", "--local", *where, *emulate])
        self._until((self.run_dir / "rota.sock").exists)
        for name, gib in PROGRAMS.items():
            ready = self.folder / f"{name}.ready"
            job = ("--run-dir", str(self.run_dir), "--name", name)
            self._spawn(name, [*ROTA, "run", *job, "--", *self._program(name, gib, ready)])
            self._until(ready.exists)
        self._until(lambda: len(self._on_gpu()) == len(PROGRAMS))

    def _on_gpu(self) -> list[ClientFigures]:
        clients = Reader(self.run_dir).state().clients
        return [one for one in clients if one.processes and one.gpu_seconds_total > 0]

    def _program(self, name: str, gib: int, ready: Path) -> list[str]:
        if not self._emulate:
            return [sys.executable, str(HERE), "--program", name, str(gib), str(ready)]
        kind = "notebook" if name == "notebook" else "trainer"
        size = ("--memory", f"{gib}Gi", "--kernel", "20ms", "--out", str(ready))
        return [sys.executable, "-m", "rota.emulation.workloads", kind, *size]

    def _spawn(self, name: str, command: list[str]) -> None:
        log = (self.folder / f"{name}.log").open("wb")
        env = os.environ | {"PYTHONPATH": path_with(HERE.parents[1] / "src")}
        self._running.append(
            subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=env)
        )

    def _until(self, true: Callable[[], bool]) -> None:
        end = time.monotonic() + UP
        while not true():
            ended = any(one.poll() is not None for one in self._running)
            if ended or time.monotonic() > end:
                raise SystemExit(self._logs())
            time.sleep(0.05)

    def _logs(self) -> str:
        logs = sorted(self.folder.glob("*.log"))
        return "\n".join(f"== {log.name}\n{log.read_text()[-1500:]}" for log in logs)

    def stop(self) -> None:
        """End the programs, then the agent."""
        for one in reversed(self._running):
            one.terminate()
        for one in reversed(self._running):
            try:
                one.wait(20)
            except subprocess.TimeoutExpired:
                one.kill()


class NvmlSeconds:
    """What NVML says each process was served, summed here from its samples."""

    def __init__(self, uuid: str) -> None:
        nvml = importlib.import_module("pynvml")
        nvml.nvmlInit()
        self._nvml, self._handle = nvml, nvml.nvmlDeviceGetHandleByUUID(uuid)
        self._since = time.time_ns() // 1000
        self._seconds: defaultdict[int, float] = defaultdict(float)

    def __call__(self) -> Mapping[int, float]:
        """Pid → seconds since this object was made."""
        try:
            samples = self._nvml.nvmlDeviceGetProcessUtilization(self._handle, self._since)
        except self._nvml.NVMLError:  # no new sample
            samples = []
        samples = [s for s in samples if s.timeStamp > self._since and s.smUtil <= 100]
        for sample in samples:
            length = (sample.timeStamp - self._since) / 1e6
            self._seconds[sample.pid] += sample.smUtil / 100 * length
        self._since = max([self._since, *(s.timeStamp for s in samples)])
        return dict(self._seconds)


class Watch:
    """Asks the driver again and again, until it is told to stop."""

    def __init__(self, ask: Callable[[], Mapping[int, float]]) -> None:
        self._ask, self._stop = ask, threading.Event()
        self.first = ask()
        self.last = self.first
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        while not self._stop.wait(LOOK):
            self.last = self._ask()

    def seconds(self) -> Mapping[int, float]:
        """Pid → seconds from beginning to end."""
        self._stop.set()
        self._thread.join()
        return {pid: had - self.first.get(pid, 0.0) for pid, had in self.last.items()}


def trace(stage: Stage, seconds: float, out: Path) -> None:
    """`rota trace`, as somebody types it."""
    picture = ("--plot", str(out / "trace.png")) if importlib.util.find_spec("matplotlib") else ()
    where = ("--run-dir", str(stage.run_dir), "-o", str(out / "trace.json"))
    command = [*ROTA, "trace", "--seconds", str(seconds), *where, *picture]
    subprocess.run(command, check=True, timeout=seconds + 60)
    if not picture:
        print(
            "no matplotlib here; draw it elsewhere: rota trace --from trace.json --plot trace.png"
        )


def compare(first: Snapshot, last: Snapshot, driver: Mapping[int, float]) -> list[dict[str, Any]]:
    """Of each client: its GPU % by its figures, by its turns, and by the driver."""
    before = {one.client: one for one in first.clients}
    length = last.at - first.at
    return [_row(before[one.client], one, driver, length) for one in last.clients]


def _row(
    before: ClientFigures, after: ClientFigures, driver: Mapping[int, float], length: float
) -> dict[str, Any]:
    served = sum(driver.get(process.pid, 0.0) for process in after.processes)
    gpu = 100 * (after.gpu_seconds_total - before.gpu_seconds_total) / length
    turns = 100 * (after.turn_seconds_total - before.turn_seconds_total) / length
    own = 100 * served / length
    named = {"client": after.client, "rota": gpu, "turns": turns, "driver": own, "off": gpu - own}
    return {key: round(v, 2) if isinstance(v, float) else v for key, v in named.items()}


def run(seconds: float, out: Path, emulate: str) -> int:
    """The whole of it; the exit code."""
    out.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="rota"))
    stage = Stage(folder, emulate)
    try:
        stage.start()
        reader = Reader(stage.run_dir)
        uuid = reader.state().gpus[0].uuid
        time.sleep(3)
        door = attach_inventory(emulate, stage.run_dir) if emulate else None
        ask = NvmlSeconds(uuid) if door is None else lambda: door.accounts(uuid)
        watch = Watch(ask)
        first = reader.state()
        trace(stage, seconds, out)
        last, served = reader.state(), watch.seconds()
    finally:
        stage.stop()
        shutil.rmtree(folder, ignore_errors=True)
    return report(compare(first, last, served), last, out)


def report(rows: list[dict[str, Any]], snapshot: Snapshot, out: Path) -> int:
    """Print and keep the figures; 1 if one is too far off."""
    gpu = snapshot.gpus[0]
    facts = {"gpu": gpu.product, "driver": snapshot.driver_version, "emulated": snapshot.emulated}
    (out / "figures.json").write_text(json.dumps(facts | {"clients": rows}, indent=2) + "\n")
    print(f"{gpu.product}, driver {snapshot.driver_version}{' (EMULATED)' * snapshot.emulated}")
    print(f"{'client':<24} {'GPU %':>7} {'turns %':>8} {'driver %':>9} {'off':>6}")
    for row in rows:
        print("{client:<24} {rota:>7} {turns:>8} {driver:>9} {off:>6}".format(**row))
    worst = max(abs(row["off"]) for row in rows)
    print(f"worst {worst:.2f} points, {POINTS:g} allowed")
    return int(worst > POINTS or len(rows) != len(PROGRAMS))


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--seconds", type=float, default=15.0)
    parser.add_argument("--out", type=Path, default=Path("trace"))
    parser.add_argument("--emulate", default="")
    parser.add_argument("--program", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.program:
        name, gib, ready = options.program
        program(name, int(gib), Path(ready))
    raise SystemExit(run(options.seconds, options.out, options.emulate))


if __name__ == "__main__":
    try:
        main()
    except RotaError as error:
        raise SystemExit(str(error)) from None
