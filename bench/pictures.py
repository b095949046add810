"""The pictures of docs/how-it-works.md, drawn from turns that were taken.

    python bench/pictures.py record [--emulate t4] [--seconds 8]
    python bench/pictures.py draw

`record` runs two trainers, a server and a notebook on this machine's GPU (or an emulated one) under
`rota run`, and keeps the turn log and what memory was whose in docs/pictures/turns.json. `draw` makes
the SVG files beside it of that, and of nothing else.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from bench.drawings import PICTURES
from bench.machine import path_with
from rota.errors import RotaError
from rota.figures.model import Snapshot
from rota.figures.reader import Reader

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "docs" / "pictures"
LOG = FOLDER / "turns.json"
CONFIG = """\
version: v1
sharing:
  timeSlicing:
    resources:
    - {name: nvidia.com/gpu, replicas: 4}
"""
PROGRAMS = {
    "trainer-a": ("trainer", "--kernel", "10ms", "--memory", "2.5Gi"),
    "trainer-b": ("trainer", "--kernel", "10ms", "--memory", "1Gi"),
    "server": ("server", "--kernel", "12ms", "--period", "150ms", "--memory", "512Mi"),
    "notebook": ("notebook", "--kernel", "20ms", "--think", "500ms", "--memory", "3Gi"),
}
UP = 60.0
LOOK = 0.03
GRANULES = 64 << 20
"""Bytes by which rounding may shift what is free."""


class Play:
    """An agent and its programs in a folder of their own."""

    def __init__(self, folder: Path, emulate: str) -> None:
        self.folder, self.run_dir, self._emulate = folder, folder / "run", emulate
        self._running: list[subprocess.Popen[bytes]] = []
        (folder / "config.yaml").write_text(CONFIG)

    def start(self) -> Reader:
        """Returns when all programs have worked."""
        emulate = ("--emulate", self._emulate) if self._emulate else ()
        where = ("--run-dir", str(self.run_dir))
        config = ("--config", str(self.folder / "config.yaml"))
        self._spawn("agent", "agent", "--local", *where, *config, *emulate)
        self._until((self.run_dir / "rota.sock").exists)
        module = "rota.emulation.workloads" if self._emulate else "rota.gpu.workload"
        reader = Reader(self.run_dir)
        for number, (name, arguments) in enumerate(PROGRAMS.items()):
            program = (sys.executable, "-m", module, *arguments)
            self._spawn(name, "run", *where, "--name", name, "--", *program)
            self._until(lambda many=number + 1: len(worked(reader)) == many)
        return reader

    def _spawn(self, name: str, *arguments: str) -> None:
        env = os.environ | {"PYTHONPATH": path_with(ROOT / "src")}
        with (self.folder / f"{name}.log").open("wb") as log:
            self._running.append(
                subprocess.Popen(
                    [sys.executable, "-m", "rota", *arguments],
                    stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=env,
                )
            )  # fmt: skip

    def _until(self, true: Any) -> None:
        end = time.monotonic() + UP
        while not true():
            if time.monotonic() > end or any(one.poll() is not None for one in self._running):
                logs = (log.read_text()[-800:] for log in sorted(self.folder.glob("*.log")))
                raise SystemExit("\n".join(logs))
            time.sleep(0.05)

    def stop(self) -> None:
        for one in reversed(self._running):
            one.terminate()
        for one in reversed(self._running):
            try:
                one.wait(20)
            except subprocess.TimeoutExpired:
                one.kill()


def named(client: str) -> str:
    """The name that a job was given: its id has five letters more."""
    return client.removeprefix("job/").rpartition("-")[0]


def worked(reader: Reader) -> list[str]:
    """The clients whose kernels ran."""
    try:
        return [c.job for c in reader.state().clients if c.gpu_seconds_total > 0]
    except RotaError:
        return []


def record(emulate: str, seconds: float) -> dict[str, Any]:
    """The turns of so many seconds, and the memory of the GPU in each client's turn."""
    folder = Path(tempfile.mkdtemp(prefix="rotapic", dir="/tmp"))
    play = Play(folder, emulate)
    try:
        reader = play.start()
        time.sleep(2.0)  # the last one's start is over, and habits are known
        first = reader.turns().next
        memory: dict[str, Any] = {}
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            memory |= dict(_memory(reader.state()))
            time.sleep(LOOK)
        return _document(reader, first, memory)
    finally:
        play.stop()
        shutil.rmtree(folder, ignore_errors=True)


def _memory(state: Snapshot) -> Iterator[tuple[str, dict[str, Any]]]:
    """Whose turn it is → what everybody holds then.

    What is free is what is left of the whole; where that is not the holder's headroom, the ballast
    was read in the middle of a handover, and the look does not count.
    """
    (gpu,) = state.gpus
    used = {named(c.client): c.memory_bytes for c in state.clients}
    limits = {named(c.client): c.memory_limit_bytes or 0 for c in state.clients}
    holder, total = named(gpu.holder), gpu.memory_total_bytes or 0
    free = total - sum(used.values()) - gpu.ballast_bytes
    if holder in used and abs(free - (limits[holder] - used[holder])) < GRANULES:
        told = {"used": used, "ballast": gpu.ballast_bytes, "free": free, "total": total}
        yield holder, told


def _document(reader: Reader, first: int, memory: dict[str, Any]) -> dict[str, Any]:
    state, turns, since = reader.state(), [], first
    while page := reader.turns(since).turns:
        turns += [asdict(turn) for turn in page]
        since = page[-1].number + 1
    begin = min(turn["start"] for turn in turns)
    for turn in turns:
        turn["client"] = named(turn["client"])
        for key in ("start", "end"):
            turn[key] -= begin
        for key in ("start", "end", "waited", "closing", "used"):
            turn[key] = round(turn[key], 6)
        del turn["gpu"], turn["number"]
    (gpu,) = state.gpus
    return {
        "emulated": state.emulated,
        "gpu": gpu.product,
        "quantum": 0.1,
        "memory": memory,
        "turns": turns,
    }


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0] if __doc__ else "")
    parser.add_argument("what", choices=["record", "draw"])
    parser.add_argument("--emulate", default="", metavar="PROFILE")
    parser.add_argument("--seconds", type=float, default=8.0)
    given = parser.parse_args()
    if given.what == "record":
        document = record(given.emulate, given.seconds)
        LOG.write_text(json.dumps(document, separators=(",", ":")).replace("},{", "},\n{") + "\n")
        print(
            f"{len(document['turns'])} turns, memory in the turns of {sorted(document['memory'])}"
        )
        return
    document = json.loads(LOG.read_text())
    for name, picture in PICTURES.items():
        (FOLDER / f"{name}.svg").write_text(picture(document))
        print(f"made {name}.svg")


if __name__ == "__main__":
    main()
