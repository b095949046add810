"""The table on a terminal."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table as Drawn

from rota.bench.document import NOTE, Document
from rota.bench.measures import MEASURES, cell, table, title_of
from rota.bench.scenarios import MODES


def show(document: Document, console: Console) -> None:
    """Print the figures of a run."""
    modes = [mode for mode in MODES if mode not in document.off]
    note = f"{NOTE}\n" if document.emulated else ""
    drawn = Drawn(title=note + document.sentence, title_justify="left", title_style="")
    for column in ("scenario", "measure", *modes):
        drawn.add_column(column)
    for name, row in table(document.slots).items():
        title = title_of(name)
        for measure in MEASURES:
            if measure.key in row:
                cells = (cell(measure.key, measure.digits, row, mode) for mode in modes)
                drawn.add_row(title, measure.title, *cells)
                title = ""
        drawn.add_section()
    console.print(drawn)
    console.print("median of the rounds (least–most); ×: ratio to the driver's in the same round")
    for mode, why in document.off.items():
        console.print(f"not measured: {mode}: {why}", markup=False)
    for slot in document.failures:
        console.print(
            f"failed: {slot.scenario}, {slot.mode}, round {slot.round + 1}: {slot.error}",
            markup=False,
        )
