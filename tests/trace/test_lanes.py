"""A trace file is read back as it was, drawn, and refused where it is none of ours."""

from __future__ import annotations

import json
import struct
import sys
from pathlib import Path

import pytest

from rota.cli.main import main
from rota.errors import UsageError
from rota.figures.model import State
from rota.trace.chrome import document, to_text
from rota.trace.lanes import TraceError, read
from rota.trace.plot import plotter
from rota.trace.recording import Recording
from tests.trace.scenes import client, snapshot, turn


def recording() -> Recording:
    looks = (
        snapshot(0, client("a"), client("b"), client("c", state=State.UNGATED, why="MPS")),
        snapshot(2, client("a", gpu_seconds_total=0.2), client("b", gpu_seconds_total=0.1)),
    )
    turns = (turn(0, "a", 0.1, 0.2), turn(1, "b", 0.2, 0.3), turn(2, "a", 0.3, 0.4, waited=0.3))
    return Recording(looks, turns)


def test_lanes_hold_what_was_recorded() -> None:
    trace = read(json.loads(to_text(document(recording()))))
    (gpu,) = trace.gpus
    assert trace.seconds == 2.0
    assert gpu.name == "GPU 0: NVIDIA H200 (emulated)"
    one, other, third = gpu.lanes.values()
    assert [lane.client for lane in (one, other, third)] == ["a", "b", "c"]
    assert one.spans["turn"] == [(0.1, 0.1), (0.3, 0.1)]
    assert (one.used, other.used) == pytest.approx((0.2, 0.1))
    assert (one.wait_p95, third.wait_p95) == (0.3, None)
    assert third.spans["ungated"] == [(0.0, 2.0)]
    assert gpu.counters["memory MiB"]["a"] == [(0.0, 1024.0), (2.0, 1024.0)]


@pytest.mark.parametrize("text", ["[]", "{}", '{"otherData": {"format": "other"}}', "3"])
def test_a_file_that_is_no_trace_of_ours_is_refused(text: str) -> None:
    with pytest.raises(TraceError):
        read(json.loads(text))


def test_without_matplotlib_a_plot_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(UsageError, match="make plots"):
        plotter()


def test_a_kept_trace_is_drawn_without_an_agent(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    kept, picture = tmp_path / "t.json", tmp_path / "t.png"
    kept.write_text(to_text(document(recording())))
    with pytest.raises(SystemExit) as ended:
        main(["trace", "--from", str(kept), "--plot", str(picture)])
    assert ended.value.code == 0
    data = picture.read_bytes()
    assert data.startswith(b"\x89PNG")
    assert struct.unpack(">I", data[16:20])[0] == 1320


def test_what_cannot_be_drawn_says_why(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["trace", "--from", str(tmp_path / "none.json"), "-o", "t.json"])
    assert ended.value.code == 2
    assert "--plot F.png, and no -o" in capsys.readouterr().err
