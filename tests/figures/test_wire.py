"""What is shown goes through JSON and comes back the same."""

import json

import pytest

from rota.figures.model import (
    ClientFigures,
    GpuFigures,
    Histogram,
    Kind,
    OwnFigures,
    ProcessFigures,
    Snapshot,
    State,
    Times,
    TurnFigures,
    TurnPage,
)
from rota.figures.wire import FiguresError, from_plain, to_json

CLIENT = ClientFigures(
    "default/a/main",
    "GPU-1",
    Kind.POD,
    state=State.WAITS,
    processes=(ProcessFigures(7, 1 << 30, "python train.py"),),
    turns={"expired": 3},
    waits=Histogram(seconds=1.5),
    gate_close=Times(3, 0.01),
    memory_limit_bytes=None,
    wait_p95=0.2,
)
SNAPSHOT = Snapshot(
    1.5, "here", gpus=(GpuFigures("GPU-1", 0, xids={79: 1}),), clients=(CLIENT,), own=OwnFigures()
)
TURNS = TurnPage(4, 5, (TurnFigures(4, "job/x", "GPU-1", 1.0, 2.0, "yielded", 0.1, 0.0, 0.9),))


@pytest.mark.parametrize("figures", [SNAPSHOT, TURNS], ids=["snapshot", "turns"])
def test_there_and_back_nothing_is_lost(figures: Snapshot | TurnPage) -> None:
    assert from_plain(type(figures), json.loads(to_json(figures))) == figures


def test_what_a_newer_agent_tells_besides_is_passed_over() -> None:
    plain = json.loads(to_json(SNAPSHOT)) | {"weather": "fine"}
    assert from_plain(Snapshot, plain) == SNAPSHOT


def test_what_an_older_agent_does_not_tell_has_its_default() -> None:
    assert from_plain(Snapshot, {"at": 2}) == Snapshot(at=2.0)


@pytest.mark.parametrize(
    "plain", [None, [], {"at": "soon"}, {"gpus": [{}]}, {"node": 3}, {"gpus": [3]}]
)
def test_what_is_no_snapshot_is_refused(plain: object) -> None:
    with pytest.raises(FiguresError, match="Snapshot"):
        from_plain(Snapshot, plain)
