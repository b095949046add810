"""The drawings of `bench/pictures.py`: SVG text from a turn log. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import Any
from xml.sax.saxutils import escape

from rota.figures.palette import COLOURS

Turn = dict[str, Any]

WIDTH = 960
INK, FAINT, GREY, PAPER = "#222222", "#dddddd", "#767676", "#ffffff"
NAMES = ("trainer-a", "trainer-b", "server", "notebook")
SHADES = dict(zip(NAMES, COLOURS, strict=False))
SPAN = 1.5
"""Seconds of the first picture."""


class Sheet:
    """A picture that grows downwards."""

    def __init__(self, height: int, title: str) -> None:
        self._height, self._title = height, title
        self._parts: list[str] = []

    def box(self, x: float, y: float, w: float, h: float, fill: str, **more: object) -> None:
        given = "".join(f' {k.replace("_", "-")}="{v}"' for k, v in more.items())
        place = f'x="{x:.1f}" y="{y:.1f}" width="{max(w, 0.4):.1f}" height="{h:.1f}"'
        self._parts.append(f'<rect {place} fill="{fill}"{given}/>')

    def line(
        self, x: float, y: float, to_x: float, to_y: float, stroke: str, **more: object
    ) -> None:
        given = "".join(f' {k.replace("_", "-")}="{v}"' for k, v in more.items())
        place = f'x1="{x:.1f}" y1="{y:.1f}" x2="{to_x:.1f}" y2="{to_y:.1f}"'
        self._parts.append(f'<line {place} stroke="{stroke}"{given}/>')

    def say(
        self, x: float, y: float, text: str, size: float = 13, fill: str = INK, anchor: str = "start",
        weight: str = "normal",
    ) -> None:  # fmt: skip
        how = f'font-size="{size}" fill="{fill}" text-anchor="{anchor}" font-weight="{weight}"'
        self._parts.append(f'<text x="{x:.1f}" y="{y:.1f}" {how}>{escape(text)}</text>')

    def arrow(self, x: float, y: float, to_x: float, to_y: float, **more: object) -> None:
        self.line(x, y, to_x, to_y, GREY, marker_end="url(#tip)", stroke_width=1.4, **more)

    def svg(self) -> str:
        head = (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {self._height}" '
            f'font-family="system-ui, sans-serif" role="img"><title>{escape(self._title)}</title>\n'
            '<defs><marker id="tip" markerWidth="8" markerHeight="8" refX="7" refY="4" orient="auto">'
            f'<path d="M0,0.5 L8,4 L0,7.5 z" fill="{GREY}"/></marker></defs>\n'
            f'<rect width="{WIDTH}" height="{self._height}" rx="6" fill="{PAPER}"/>\n'
        )
        return head + "\n".join(self._parts) + "\n</svg>\n"


def turns(document: Mapping[str, Any]) -> str:
    """A second and a half: four lanes, of which one at a time is full."""
    log = _window(document["turns"])
    left, lane, top = 110, 46, 74
    scale = (WIDTH - left - 24) / SPAN
    sheet = Sheet(top + lane * len(NAMES) + 58, "Four programs take turns on one GPU")
    sheet.say(
        20, 28, "Four programs on one GPU: whoever has a turn has all of it", 17, weight="bold"
    )
    sheet.say(20, 48, f"{SPAN:g} s of a turn log, {_where(document)}", 12, GREY)
    for number, name in enumerate(NAMES):
        y = top + number * lane
        sheet.line(left, y + 28, WIDTH - 24, y + 28, FAINT)
        sheet.say(left - 12, y + 20, name, 13, SHADES[name], "end", "bold")
        for turn in (t for t in log if t["client"] == name):
            _draw_turn(sheet, turn, left, y, scale)
    _axis(sheet, left, top + lane * len(NAMES) - 4, scale, SPAN, 0.25, "s")
    y = top + lane * len(NAMES) + 44
    sheet.box(left, y - 10, 22, 12, GREY)
    sheet.say(left + 28, y, "its turn", 12, GREY)
    sheet.box(left + 110, y - 10, 22, 12, INK)
    sheet.say(left + 138, y, "its gate closes: what it had queued still runs", 12, GREY)
    sheet.line(left + 430, y - 4, left + 452, y - 4, GREY, stroke_width=2)
    sheet.say(left + 458, y, "it wants the GPU and waits", 12, GREY)
    return sheet.svg()


def _window(log: Sequence[Turn]) -> list[Turn]:
    """The stretch in which most of the programs have turns, and the notebook is at work."""

    def life(begin: float) -> tuple[int, int]:
        inside = [t for t in log if begin <= t["start"] and t["end"] <= begin + SPAN]
        return len({t["client"] for t in inside}), len({t["why"] for t in inside})

    starts = [t["start"] - 0.02 for t in log if t["start"] + SPAN <= log[-1]["end"]]
    begin = max(starts, key=life)
    return [
        {**t, "start": t["start"] - begin, "end": t["end"] - begin}
        for t in log
        if t["end"] > begin and t["start"] < begin + SPAN
    ]


def _draw_turn(sheet: Sheet, turn: Turn, left: float, y: float, scale: float) -> None:
    def at(seconds: float) -> float:
        return left + min(max(seconds, 0.0), SPAN) * scale

    start, closing, end = turn["start"], turn["end"] - turn["closing"], turn["end"]
    shade = SHADES[turn["client"]]
    sheet.line(at(start - turn["waited"]), y + 16, at(start), y + 16, shade, stroke_width=2)
    sheet.box(at(start), y + 4, at(closing) - at(start), 24, shade)
    sheet.box(at(closing), y + 4, at(end) - at(closing), 24, INK)


def _axis(
    sheet: Sheet, left: float, y: float, scale: float, span: float, step: float, unit: str
) -> None:
    count = round(span / step)
    for number in range(count + 1):
        x = left + number * step * scale
        sheet.line(x, y, x, y + 5, GREY)
        text = f"{number * step:g}" + (f" {unit}" if number == count else "")
        sheet.say(x, y + 19, text, 11, GREY, "middle" if number < count else "end")


def handover(document: Mapping[str, Any]) -> str:
    """One change of hands, in milliseconds."""
    last, following = _pair(document["turns"])
    before, after = 0.03, 0.03
    begin = last["end"] - last["closing"] - before
    span = following["start"] + after - begin
    left, top = 110, 84
    scale = (WIDTH - left - 24) / span
    sheet = Sheet(320, "A handover in milliseconds")
    sheet.say(20, 28, "A handover: close, measure, set the ballast, open", 17, weight="bold")
    sheet.say(20, 48, f"from the same log, {_where(document)}", 12, GREY)

    def at(seconds: float) -> float:
        return float(left + (seconds - begin) * scale)

    closing, closed, opened = last["end"] - last["closing"], last["end"], following["start"]
    for number, turn in enumerate((last, following)):
        name = turn["client"]
        sheet.say(left - 12, top + number * 58 + 24, name, 13, SHADES[name], "end", "bold")
    sheet.box(left, top, at(closing) - left, 36, SHADES[last["client"]])
    sheet.box(at(closing), top, at(closed) - at(closing), 36, INK)
    sheet.line(left, top + 76, at(opened), top + 76, SHADES[following["client"]], stroke_width=3)
    sheet.box(at(opened), top + 58, WIDTH - 24 - at(opened), 36, SHADES[following["client"]])
    for seconds, level, text in (
        (closing, 2, f"1. {_ended(last)}: its gate is told to close"),
        (closed, 1, f"2. {_ms(closed - closing)} later it is closed: what it had queued has run"),
        (opened, 0, f"3. {_ms(opened - closed)} later the next gate is open"),
    ):
        x, y = at(seconds), top + 124 + level * 26
        sheet.line(x, top - 6, x, y, GREY, stroke_dasharray="3 3")
        sheet.say(x + 6, y, text, 13, INK)
    _axis(sheet, left, 282, scale * 1e-3, _floor(span * 1e3, 10), 10, "ms")
    return sheet.svg()


def _pair(log: Sequence[Turn]) -> tuple[Turn, Turn]:
    """The change of hands with a drain in the middle of all: neither the quickest nor the slowest."""
    pairs = [
        (a, b)
        for a, b in pairwise(log)
        if a["client"] != b["client"] and 0 <= b["start"] - a["end"] < 0.02 and a["closing"] > 0
        and a["why"] in ("expired", "preempted")
    ]  # fmt: skip
    return sorted(pairs, key=lambda pair: float(pair[0]["closing"]))[len(pairs) // 2]


def _ended(turn: Turn) -> str:
    name = turn["client"]
    whys = {"expired": "the slice of {} is over", "preempted": "{} is preempted"}
    return whys.get(turn["why"], "{} yields").format(name)


def memory(document: Mapping[str, Any]) -> str:
    """The whole GPU's memory in the turn of each client: what is free is the holder's alone."""
    states = {name: document["memory"][name] for name in NAMES if name in document["memory"]}
    left, row, top = 170, 52, 84
    total = max(state["total"] for state in states.values())
    scale = (WIDTH - left - 24) / total
    sheet = Sheet(top + row * len(states) + 84, "Whose memory is whose, in each turn")
    sheet.say(20, 28, "Memory: what is free is what the holder may still take", 17, weight="bold")
    sheet.say(20, 48, f"all of the GPU's memory, in a turn of each; {_where(document)}", 12, GREY)
    for number, (holder, state) in enumerate(states.items()):
        _memory_row(sheet, holder, state, left, top + number * row, scale)
    y = top + row * len(states) - 6
    _axis(sheet, left, y, scale * (1 << 30), _floor(total / (1 << 30), 2), 2, "GiB")
    x = float(left)
    for name in NAMES:
        sheet.box(x, y + 42, 16, 12, SHADES[name])
        sheet.say(x + 22, y + 52, name, 12, GREY)
        x += 96
    _hatched(sheet, x, y + 42, 16, 12)
    sheet.say(x + 22, y + 52, "ballast: held by Rota, nobody's to take", 12, GREY)
    sheet.box(x + 264, y + 42, 16, 12, PAPER, stroke=GREY)
    sheet.say(x + 286, y + 52, "free", 12, GREY)
    return sheet.svg()


def _memory_row(
    sheet: Sheet, holder: str, state: Mapping[str, Any], left: float, y: float, scale: float
) -> None:
    sheet.say(left - 12, y + 21, f"in {holder}'s turn", 13, SHADES[holder], "end", "bold")
    x = left
    for name in NAMES:
        width = state["used"].get(name, 0) * scale
        sheet.box(x, y, width, 32, SHADES[name])
        x += width
    width = state["ballast"] * scale
    _hatched(sheet, x, y, width, 32)
    x += width
    free = state["free"] * scale
    sheet.box(x, y, free, 32, PAPER, stroke=SHADES[holder], stroke_width=2)
    sheet.say(x + free / 2, y + 21, f"{state['free'] / (1 << 30):.1f}", 12, INK, "middle")
    x += free
    rest = left + state["total"] * scale - x
    if rest > 1:
        sheet.box(x, y, rest, 32, FAINT)


def _hatched(sheet: Sheet, x: float, y: float, width: float, height: float) -> None:
    sheet.box(x, y, width, height, "#eeeeee", stroke=GREY)
    step, place = 9.0, 0.0
    while place + height / 2 < width:
        sheet.line(x + place, y + height, x + min(place + height / 2, width), y, "#bdbdbd")
        place += step


def node(document: Mapping[str, Any]) -> str:
    """Who talks to whom on a node."""
    sheet = Sheet(418, "A node: kubelet, agent, gatekeeper, pods, driver")
    sheet.say(20, 28, "On a node: one process talks, the other one turns", 17, weight="bold")
    _room(sheet, 24, 52, 208, 64, "API server", "ConfigMap, annotations, Events")
    _room(sheet, 24, 176, 208, 64, "kubelet", "asks for 4, gives to pods")
    _room(sheet, 24, 300, 208, 64, "you, Prometheus", "page, top, metrics")
    _room(sheet, 330, 136, 210, 144, "agent", "advertises replicas", "follows the config",
          "says who holds what", "tells figures")  # fmt: skip
    _room(sheet, 640, 52, 296, 118, "gatekeeper", "whose turn is it?", "opens and closes gates",
          "holds the ballast")  # fmt: skip
    for number, name in enumerate(NAMES):
        x = 640 + number * 75
        sheet.box(x, 228, 71, 46, SHADES[name], rx=4)
        sheet.say(x + 35.5, 256, name, 12, INK, "middle", "bold")
        sheet.arrow(x + 35.5, 170, x + 35.5, 226)
        sheet.arrow(x + 35.5, 274, x + 35.5, 316)
    sheet.say(632, 236, "a gate", 12, GREY, "end")
    sheet.say(632, 252, "each", 12, GREY, "end")
    _room(
        sheet, 640, 318, 296, 56, "NVIDIA's driver, and the GPU", "unmodified, as are the programs"
    )
    sheet.arrow(330, 170, 234, 96)
    sheet.arrow(330, 208, 234, 208)
    sheet.arrow(232, 330, 328, 256)
    sheet.arrow(540, 176, 638, 122)
    sheet.say(586, 134, "shares", 11, GREY, "middle")
    sheet.say(24, 402, "Either may die: the other one opens every gate, and whoever starts opens "
              "what the journal names.", 12, GREY)  # fmt: skip
    return sheet.svg()


def _room(sheet: Sheet, x: float, y: float, w: float, h: float, title: str, *lines: str) -> None:
    sheet.box(x, y, w, h, "#f6f6f6", stroke=GREY, rx=6)
    sheet.say(x + w / 2, y + 24, title, 15, INK, "middle", "bold")
    for number, line in enumerate(lines):
        sheet.say(x + w / 2, y + 46 + number * 21, line, 12, GREY, "middle")


def _where(document: Mapping[str, Any]) -> str:
    if document["emulated"]:
        return f"on an emulated {document['gpu']}: the turns are real, the GPU is not"
    return f"on an {document['gpu']}"


def _ms(seconds: float) -> str:
    return f"{seconds * 1e3:.1f} ms"


def _floor(value: float, step: int) -> float:
    return float(int(value // step) * step)


PICTURES: Mapping[str, Callable[[Mapping[str, Any]], str]] = {
    "how-node": node,
    "how-turns": turns,
    "how-handover": handover,
    "how-memory": memory,
}
"""File name → what draws it."""
