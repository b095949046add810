"""The section of docs/results.md on turns, generated from a kept document. Pure.

It replaces what stands between its two marks, and nothing else of the page.
"""

from __future__ import annotations

from rota.bench.document import ABOVE_ONE, NOTE, Document
from rota.bench.measures import MEASURES, cell, table, title_of
from rota.bench.scenarios import MODES

BEGIN = "<!-- turns: made by `rota bench --show FILE --page docs/results.md` -->"
END = "<!-- /turns -->"


def section(document: Document, source: str) -> str:
    """The section as Markdown; `source` is where the document is kept."""
    modes = [mode for mode in MODES if mode not in document.off]
    options = document.options
    lines = [BEGIN, "## Turns beside the driver's slicing", ""]
    lines += [f"**{NOTE}.** {ABOVE_ONE}", ""] if document.emulated else []
    lines += [
        f"{document.sentence}. {_load(document)}", "",
        f"Quantum {1000 * options['quantum']:.0f} ms, workload `{options['workload']}`, "
        f"{_rounds(options['rounds'])}, ways of sharing interleaved. A cell holds the median of the "
        "rounds, the least and the most in brackets, and ×, the ratio to the driver's own slicing "
        "in the same round. Every figure is from what the programs recorded of their own work.", "",
    ]  # fmt: skip
    lines += [f"Not measured: {mode} ({why})." for mode, why in document.off.items()]
    lines += [
        "",
        f"| scenario | measure | {' | '.join(modes)} |",
        "| --- " * (2 + len(modes)) + "|",
    ]
    lines += _rows(document, modes)
    lines += ["", *_failures(document)]
    lines += [f"Kept as `{source}`. To repeat it:", "", "    rota bench --json bench.json", "", END]
    return "\n".join(lines) + "\n"


def _rounds(number: int) -> str:
    return "1 round" if number == 1 else f"{number} rounds"


def _load(document: Document) -> str:
    """How busy the machine was; the runs themselves count as well."""
    before, after = document.machine["load"], document.machine.get("load_after")
    return f"Load when it began {before}" + (f", when it ended {after}." if after else ".")


def _rows(document: Document, modes: list[str]) -> list[str]:
    return [
        f"| {title_of(name)} | {measure.title} | "
        + " | ".join(cell(measure.key, measure.digits, row, mode) for mode in modes)
        + " |"
        for name, row in table(document.slots).items()
        for measure in MEASURES
        if measure.key in row
    ]


def _failures(document: Document) -> list[str]:
    said = [f"* {s.scenario}, {s.mode}, round {s.round + 1}: {s.error}" for s in document.failures]
    return ["Failed:", "", *said, ""] if said else []


def put(page: str, made: str) -> str:
    """The page with that section in place of its old one, or at its end."""
    before, begin, rest = page.partition(BEGIN)
    if not begin:
        return (page.rstrip("\n") + "\n\n" if page else "# Results\n\n") + made
    return before + made + rest.partition(END)[2].removeprefix("\n")
