"""The measurement itself works: what it says of speed is for a quiet machine, and not judged here."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
ABOUT = ("start", "allocate_p50", "allocate_p99", "floor_p50", "edit", "again", "idle")


@pytest.mark.timeout(180)
def test_a_quick_run_has_every_figure_and_says_where_it_was_taken(tmp_path: Path) -> None:
    kept = tmp_path / "figures.json"
    command = [sys.executable, "bench/plugin.py", "--quick", "--json", str(kept)]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=170)
    assert run.returncode == 0, run.stderr
    document = json.loads(kept.read_text())
    wanted = {f"{about}_{replicas}" for about in ABOUT for replicas in (4, 1024)} | {"help"}
    assert wanted <= document["figures"].keys()
    for figure in document["figures"].values():
        assert figure["min"] <= figure["median"] <= figure["max"]
    assert document["machine"].keys() >= {"cpu", "cores", "kernel", "python", "packages", "date"}
    assert document["machine"]["cpu"] in run.stdout
    assert "| aim |" in run.stdout
