"""A trace of programs whose work is known, by `rota trace` on a local agent with an emulated GPU."""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from rota.cli.main import main
from rota.emulation.inventory import EmulatedInventory
from rota.figures.reader import Reader
from rota.trace.lanes import Lane, read
from tests.jobs.machines import Machine, sharing, until
from tests.trace.test_chrome import check_format

SECONDS = 3.0

STALE = 0.25
"""Seconds by which the figures of a snapshot's two ends may be older than the snapshots."""


@pytest.fixture
def machine() -> Iterator[Machine]:
    made = Machine(Path(tempfile.mkdtemp(prefix="rota")))
    yield made
    made.close()
    shutil.rmtree(made.folder, ignore_errors=True)


def contending(reader: Reader) -> bool:
    """Both are seen, and have had turns."""
    clients = reader.state().clients
    return len(clients) == 2 and all(one.turns and one.processes for one in clients)


def test_two_trainers_are_traced_as_they_worked(
    machine: Machine, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Lanes alternate, and each has the GPU seconds that the emulation served it."""
    machine.serve(sharing(2))
    trainer = ("trainer", "--kernel", "20ms", "--report", "60s")
    for name in ("a", "b"):
        machine.start(
            "run", "--name", name, "--", sys.executable, "-m", "rota.emulation.workloads", *trainer
        )
    reader = Reader(machine.run_dir)
    until(lambda: contending(reader))
    door = EmulatedInventory(machine.run_dir / "gpu")
    gpu = reader.state().gpus[0].uuid
    owners = {one.client: one.processes[0].pid for one in reader.state().clients}
    before, begun = door.accounts(gpu), time.monotonic()
    with pytest.raises(SystemExit) as ended:
        main(["trace", "--seconds", str(SECONDS), "-o", str(tmp_path / "t.json"),
              "--run-dir", str(machine.run_dir)])  # fmt: skip
    after, took = door.accounts(gpu), time.monotonic() - begun
    door.close()
    assert ended.value.code == 0
    assert "emulated" in capsys.readouterr().err
    document = json.loads((tmp_path / "t.json").read_text())
    check_format(document)
    trace = read(document)
    lanes = list(trace.gpus[0].lanes.values())
    assert {lane.client for lane in lanes} == set(owners)
    starts = sorted((at, lane.client) for lane in lanes for at, _ in lane.spans["turn"])
    assert len(starts) >= 4
    assert sum(one[1] != other[1] for one, other in pairwise(starts)) >= 0.8 * (len(starts) - 1)
    for lane in lanes:
        served = after[owners[lane.client]] - before[owners[lane.client]]
        rates = trace.gpus[0].counters["GPU % by client"][lane.client]
        outside = took - trace.seconds + STALE
        assert served - outside <= counted(rates, trace.seconds) <= served + STALE
        assert turned(lane) == pytest.approx(trace.seconds / 2, rel=0.5)


def counted(rates: list[tuple[float, float]], seconds: float) -> float:
    """GPU seconds under a counter of percents that holds from each moment to the next."""
    ends = [at for at, _ in rates[1:]] + [seconds]
    return sum(rate / 100 * (end - at) for (at, rate), end in zip(rates, ends, strict=True))


def turned(lane: Lane) -> float:
    return sum(length for _, length in lane.spans["turn"])
