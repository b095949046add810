"""Plots of a kept document as PNG files, with matplotlib (`make plots`)."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

from rota.bench.document import NOTE, Document
from rota.bench.measures import Table, table, title_of
from rota.bench.scenarios import MODES
from rota.errors import UsageError

COLOURS = {"driver": "#7f8c8d", "overlapped": "#1b7f5c", "disjoint": "#6fb98f", "mps": "#c0873f"}

_PLOTS = (
    ("total", "total work, of one program alone", "total.png"),
    ("trainer", "the trainer's work, of one program alone", "trainer.png"),
    ("request_p99", "request p99, ms", "request-p99.png"),
    ("cell_p50", "notebook cell p50, ms", "cell-p50.png"),
    ("off", "furthest from its share, points", "shares.png"),
    ("cpu", "gatekeeper, % of a core", "cpu.png"),
)


def draw(document: Document, folder: Path) -> list[Path]:
    """Write the plots that the document has figures for; their paths.

    Raises:
        UsageError: matplotlib is not installed.
    """
    try:
        matplotlib = importlib.import_module("matplotlib")
        matplotlib.use("Agg")
        pyplot = importlib.import_module("matplotlib.pyplot")
    except ImportError as error:
        raise UsageError(
            "plots need matplotlib",
            hint="`make plots` in a clone of Rota installs it, pip elsewhere; "
            "then --show FILE --plots DIR",
        ) from error
    folder.mkdir(parents=True, exist_ok=True)
    figures = table(document.slots)
    return [
        _bars(pyplot, document, figures, key, title, folder / name)
        for key, title, name in _PLOTS
        if any(key in row for row in figures.values())
    ]


def _bars(
    pyplot: Any, document: Document, figures: Table, key: str, title: str, path: Path
) -> Path:
    names = [name for name, row in figures.items() if key in row]
    modes = [mode for mode in MODES if any(mode in figures[name][key] for name in names)]
    height = 0.8 / len(modes)
    figure, axes = pyplot.subplots(figsize=(9, 1.6 + 0.22 * len(modes) * len(names) + 0.15 * len(names)))  # fmt: skip
    for index, mode in enumerate(modes):
        places = [at for at, name in enumerate(names) if mode in figures[name][key]]
        spreads = [figures[names[at]][key][mode] for at in places]
        middles = [spread.middle for spread in spreads]
        errors = [
            [spread.middle - spread.least for spread in spreads],
            [spread.most - spread.middle for spread in spreads],
        ]
        where = [at + (index - (len(modes) - 1) / 2) * height for at in places]
        style = {"color": COLOURS[mode], "label": mode, "ecolor": "#333333", "capsize": 2}
        axes.barh(where, middles, height * 0.92, xerr=errors, **style)
    axes.set_yticks(range(len(names)), [title_of(name) for name in names], fontsize=8)
    axes.invert_yaxis()
    axes.set_xlim(left=0)
    axes.grid(axis="x", color="#dddddd")
    axes.set_axisbelow(True)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    axes.set_xlabel(f"{title} (median of the rounds, least to most)", fontsize=9)
    figure.legend(loc="upper right", ncols=len(modes), fontsize=8, frameon=False)
    facts = document.machine
    note = f"{NOTE}\n" if document.emulated else ""
    said = f"{note}{facts['gpu']}, driver {facts['driver']}, {facts['date']}"
    figure.text(0.01, 0.005, said, fontsize=7, color="#555555", va="bottom")
    figure.tight_layout(rect=(0, 0.09, 1, 0.95))
    figure.savefig(path, dpi=130)
    pyplot.close(figure)
    return path
