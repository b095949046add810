"""Draws a trace as a PNG file, with matplotlib (`make plots`)."""

from __future__ import annotations

import importlib
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rota.errors import UsageError
from rota.figures.palette import colours
from rota.trace.lanes import GpuTrace, Lane, Trace

WIDTH = 11.0
"""Inches, at 120 dots each."""

_DOTS = 1000
"""How many dots a lane is wide: a span shorter than one cannot be seen."""

_INK, _FAINT, _GREY = "#222222", "#dddddd", "#9a9a9a"


def plotter() -> Any:
    """Matplotlib's pyplot, drawing to files only.

    Raises:
        UsageError: it is not installed.
    """
    try:
        importlib.import_module("matplotlib").use("Agg")
        return importlib.import_module("matplotlib.pyplot")
    except ImportError as error:
        raise UsageError(
            "a plot needs matplotlib",
            hint="`make plots` in a clone of Rota installs it, pip elsewhere; or keep the trace, and "
            "draw it where that is: rota trace --from F.json --plot F.png",
        ) from error


def draw(trace: Trace, path: Path, pyplot: Any) -> None:
    """Write the picture: of each GPU its lanes, then who had how much of it, then its memory.

    Args:
        trace: what to draw.
        path: the PNG file.
        pyplot: from `plotter`.
    """
    heights = [height for gpu in trace.gpus for height in (0.5 + 0.34 * len(gpu.lanes), 1.1, 1.1)]
    figure, axes = pyplot.subplots(
        len(heights), 1, sharex=True, squeeze=False, figsize=(WIDTH, sum(heights) + 1.3),
        gridspec_kw={"height_ratios": heights}, layout="constrained",
    )  # fmt: skip
    rows = [row[0] for row in axes]
    for number, gpu in enumerate(trace.gpus):
        _gpu(rows[3 * number : 3 * number + 3], gpu, trace.seconds)
    rows[-1].set_xlabel("seconds from the beginning", fontsize=8)
    figure.suptitle(_title(trace), fontsize=8.5, color=_INK, x=0.01, ha="left")
    figure.savefig(path, dpi=120)
    pyplot.close(figure)


def _title(trace: Trace) -> str:
    facts = trace.facts
    began = datetime.fromtimestamp(float(facts["began"]), UTC)
    driver = f", driver {facts['driver']}" if facts["driver"] else ""
    parts = [f"{trace.seconds:.1f} s on {facts['node'] or 'this machine'}, {began:%Y-%m-%d %H:%M:%S} UTC{driver}"]  # fmt: skip
    if facts["emulated"] == "yes":
        parts.append("Emulated: there is no such GPU here, and the figures are the emulation's.")
    if facts["lost_turns"] != "0":
        parts.append(f"{facts['lost_turns']} turns were gone before they could be read.")
    parts.append(
        "Full: a turn. Thin: it waits. Dark: its gates close, while it drains. Hatched: no turns."
    )
    return "\n".join(parts)


def _gpu(rows: list[Any], gpu: GpuTrace, seconds: float) -> None:
    shades = colours(lane.client for lane in gpu.lanes.values())
    lanes, rates, memory = rows
    lanes.set_title(gpu.name, fontsize=10, loc="left", color=_INK)
    for place, lane in enumerate(gpu.lanes.values()):
        _lane(lanes, place, lane, shades[lane.client], seconds)
    lanes.set_yticks(range(len(gpu.lanes)), [lane.client for lane in gpu.lanes.values()])
    lanes.set_ylim(len(gpu.lanes) - 0.4, -0.6)
    lanes.set_xlim(0, seconds)
    _stack(rates, gpu.counters["GPU % by client"], shades, "GPU %", seconds)
    rates.set_ylim(0, 105)
    for times in gpu.counters["GPU %"].values():
        style = {"where": "post", "color": _INK, "linewidth": 0.9}
        rates.step(*zip(*times, strict=True), **style, label="the driver's own")
        rates.legend(fontsize=7, loc="lower right", frameon=False)
    gib = {
        name: [(at, value / 1024) for at, value in values]
        for name, values in gpu.counters["memory MiB"].items()
    }
    _stack(memory, gib, shades, "memory GiB\n(grey: held back)", seconds)
    memory.set_ylim(bottom=0)
    for row in rows:
        _plain(row)


def _lane(axes: Any, place: int, lane: Lane, colour: str, seconds: float) -> None:
    for name, spans in lane.spans.items():
        if name == "turn":
            axes.broken_barh(spans, (place - 0.36, 0.72), color=colour, linewidth=0)
        elif name == "wait":
            starts, ends = [at for at, _ in spans], [at + length for at, length in spans]
            axes.hlines([place] * len(spans), starts, ends, color=_GREY, linewidth=2.5)
        elif name == "close gates":
            seen = [span for span in spans if span[1] > seconds / _DOTS]
            axes.broken_barh(seen, (place - 0.36, 0.72), color=_INK, alpha=0.45, linewidth=0)
        else:
            look = {"facecolor": "white", "edgecolor": colour, "hatch": "///", "linewidth": 0.5}
            axes.broken_barh(spans, (place - 0.3, 0.6), **look)
    said = f" turns {100 * lane.used / seconds:.1f} %" if lane.spans["turn"] and seconds else ""
    if lane.wait_p95 is not None:
        said += f"\n wait p95 {lane.wait_p95 * 1000:.0f} ms"
    axes.text(1.0, place, said, transform=axes.get_yaxis_transform(), fontsize=7, va="center")


def _stack(axes: Any, series: Any, shades: dict[str, str], title: str, seconds: float) -> None:
    """Series on top of one another; a series that begins late counts as 0 before."""
    moments = sorted({at for values in series.values() for at, _ in values})
    floor = [0.0] * len(moments)
    for name, values in series.items():
        known = dict(values)
        top = [low + known.get(at, 0.0) for low, at in zip(floor, moments, strict=True)]
        shade = shades.get(name, _FAINT)
        ends = [*moments, seconds]
        axes.fill_between(ends, [*floor, floor[-1]], [*top, top[-1]], step="post", color=shade, linewidth=0)  # fmt: skip
        floor = top
    axes.set_ylabel(title, fontsize=8)


def _plain(axes: Any) -> None:
    axes.tick_params(labelsize=8, length=2)
    axes.grid(axis="x", color=_FAINT, linewidth=0.5)
    axes.set_axisbelow(True)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
