"""The screen says who has the GPU, who waits and who uses what, in any terminal."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import replace

import pytest
from rich.text import Text

from rota.figures.model import OwnFigures, Snapshot, State
from rota.figures.palette import COLOURS
from rota.top.bars import Look
from rota.top.choice import Choice
from rota.top.screen import History, Painter
from tests.top.scenes import H200, NODE, node, pod

ASCII = Look(unicode=False, colour=False)

EIGHTY = """\
rota top  node-1  22:13:20
GPU 0  NVIDIA H200                                            61 C  412 of 700 W
  time   aaaaaaaaaaaaabbbbbbbbbdddddddd..  93%  turn: gpu-test~bdf-abcde, 1 wait
  memory aaaaabbbbcdddd::::::::::::::.... 60.0 of 140 GiB, 60.0 held back

  NAMESPACE  POD                   GPU  STATE    SHARE  GPU%   MEM/LIMIT  WAIT95
a research   gpu-test-~7bdf-abcde    0  turn       25%   40%  20.0/35.0G   302ms
b research   gpu-test-~7bdf-fghij    0  waits      25%   30%  20.0/35.0G    1.2s
c teaching   notebook-0              0  idle       25%    0%   1.0/35.0G   302ms
d research   sim                     0  ungated    25%   25%  20.0/35.0G       -
ungated: sim: three closes failed in a row"""


def text(lines: Iterable[Text]) -> str:
    return "\n".join(line.plain.rstrip() for line in lines)


def painted(snapshot: Snapshot = NODE, look: Look = ASCII, width: int = 80, **more: bool) -> str:
    return text(Painter(width, look, **more).lines(snapshot, Choice(), None))


@pytest.fixture(autouse=True)
def utc(monkeypatch: pytest.MonkeyPatch) -> Iterable[None]:
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def test_eighty_columns_of_ascii() -> None:
    assert painted() == EIGHTY


@pytest.mark.parametrize("width", [80, 100, 120, 200])
@pytest.mark.parametrize("look", [ASCII, Look()])
def test_no_line_is_wider_than_the_terminal(width: int, look: Look) -> None:
    history = History()
    for _ in range(200):
        history.add(NODE)
    lines = list(Painter(width, look).lines(NODE, Choice(), history))
    assert all(len(line.plain) <= width for line in lines)


def test_ascii_is_ascii_and_tells_clients_apart_by_letters() -> None:
    shown = painted()
    assert shown.isascii()
    assert [line[0] for line in shown.splitlines()[6:10]] == ["a", "b", "c", "d"]


def test_where_there_are_colours_each_client_has_its_own() -> None:
    lines = list(Painter(80).lines(NODE, Choice(), None))
    rows = lines[6:10]
    shades = [str(row.spans[0].style) for row in rows]
    assert len(set(shades)) == 4
    assert set(shades) <= set(COLOURS)
    bar = {str(span.style) for span in lines[2].spans}
    assert shades[0] in bar


def test_what_is_wrong_is_said() -> None:
    gpu = replace(H200, healthy=False, why_unhealthy="Xid 79", turns_off="driver 535 has no gates")
    own = OwnFigures(gatekeeper_problem="no gatekeeper answers", config_refused_now="line 3: no")
    shown = painted(node(*NODE.clients, gpus=(gpu,), own=own, emulated=True))
    for said in (
        "not healthy: Xid 79", "no turns: driver 535 has no gates", "no gatekeeper answers",
        "line 3: no", "ungated: sim: three closes failed in a row", "emulated GPUs",
    ):  # fmt: skip
        assert said in shown


def test_nothing_that_a_name_holds_reaches_the_terminal() -> None:
    assert "\x1b" not in painted(node(pod("a\x1b[2Jb"), pod("c", why="\x1b]0;x")))


def test_eight_gpus_have_a_line_each() -> None:
    gpus = tuple(replace(H200, uuid=f"GPU-{n}", index=n) for n in range(8))
    shown = painted(node(*NODE.clients, gpus=gpus)).splitlines()
    assert [line[:3].strip() for line in shown[1:9]] == list("01234567")


def test_wide_has_all_columns_and_cuts_nothing() -> None:
    shown = painted(wide=True)
    assert "gpu-test-76d5c7bdf-abcde" in shown
    assert "4711" in shown
    assert "CONTAINER" in shown


def test_the_curve_is_there_where_there_is_room_and_grows_to_the_right() -> None:
    history = History()
    for part in (0.0, 0.5, 1.0):
        history.add(node(pod("a", utilization=part)))
    snapshot = node(pod("a", utilization=1.0))
    rows = list(Painter(120, ASCII).lines(snapshot, Choice(), history))
    assert rows[-1].plain.endswith("  =%") or rows[-1].plain.endswith(" +%")
    assert "GPU% OF LATE" in rows[-2].plain


def test_clients_that_are_gone_have_no_history() -> None:
    history = History()
    history.add(node(pod("a"), pod("b")))
    history.add(node(pod("b")))
    assert [len(values) for values in history.values.values()] == [2]


def test_a_node_without_clients_says_so() -> None:
    assert painted(node()).endswith("no client")
    chosen = Choice(text="nobody")
    assert text(Painter().lines(NODE, chosen, None)).endswith("no client is like that")


def test_why_one_stays_in_host_memory_is_said() -> None:
    short = pod("a", state=State.PAGED, why="waits for 1.0 GiB of GPU memory")
    assert "paged: a: waits for 1.0 GiB of GPU memory" in painted(node(short))
