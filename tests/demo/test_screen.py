"""The demo's screen on terminals of any width: nothing is cut off, nothing runs over."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from rota.demo.report import PodUse, Step, Usage
from rota.demo.screen import NARROW, Terminal

GREEDY = "GPU busy 96%, a 20 ms kernel took 21 ms, fairness 0.998\nright: the last 2 s of each pod"


def shown(width: int, encoding: str = "utf-8") -> str:
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding=encoding, errors="strict", write_through=True)
    screen = Terminal(Console(file=stream, width=width, force_terminal=True, color_system=None))
    screen.begin("Rota shares a GPU", "Tesla T4, 15.0 GiB: emulated")
    pods = tuple(pod(n) for n in range(4))
    screen.usage(Usage(pods, 1.0))
    screen.done("turns: one at a time", Step("turns", True, 1.0, GREEDY))
    screen.abort()
    return raw.getvalue().decode(encoding)


def pod(number: int) -> PodUse:
    return PodUse(f"gpu-test-{number}", "x::0", "running", 0.5, 1 << 30, 0.25, "··█" * 11)


@pytest.mark.parametrize("width", [40, NARROW - 1, NARROW, 80, 200])
def test_every_word_is_there_at_every_width(width: int) -> None:
    said = shown(width)
    for word in ("gpu-test-3", "25%", "1.0 GiB", "fairness", "0.998", "turns: one at a time"):
        assert word in said
    assert "…" not in said.replace("… turns", "")


def test_lanes_are_shown_where_there_is_room() -> None:
    assert "··█··█" in shown(100)
    assert "··█··█" not in shown(40)


def test_a_terminal_without_our_signs_gets_others() -> None:
    assert "##......" in shown(80, "latin-1")
