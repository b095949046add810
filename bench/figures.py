"""What is measured, in which unit, what we aim for, and what another plugin was measured at."""

from __future__ import annotations

from dataclasses import dataclass, field
from statistics import median
from typing import Any


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table.

    Attributes:
        key: of the figure; `{n}` stands for the number of replicas.
        title: for a person.
        unit: s, ms, MB or %.
        aim: what its median should not exceed; None where nothing is aimed for.
        other: NVIDIA's Go plugin (v0.20, mock NVML, stock kubelet 1.36, 2 cores of another
            machine), in the same unit; empty where it was not measured.
    """

    key: str
    title: str
    unit: str
    aim: float | None = None
    other: str = ""


def _both(key: str, title: str, unit: str, aim: float | None, four: str, many: str) -> list[Row]:
    return [
        Row(f"{key}_4", f"{title}, 4 replicas", unit, aim, four),
        Row(f"{key}_1024", f"{title}, 1,024 replicas", unit, aim, many),
    ]


ROWS: tuple[Row, ...] = (
    *_both("start", "process start → the kubelet knows them", "s", 0.5, "0.031", "0.029"),
    *_both("start_cpu", "processor time until then", "s", None, "0.063", ""),
    *_both("allocate_p50", "Allocate p50", "ms", None, "0.27", "0.24"),
    *_both("allocate_p99", "Allocate p99", "ms", 1.0, "0.52", "0.49"),
    *_both("floor_p50", "an empty call p50 (the floor)", "ms", None, "0.23", ""),
    *_both("floor_p99", "an empty call p99 (the floor)", "ms", None, "", ""),
    *_both("edit", "config edit → new listing", "s", 0.2, "0.008", ""),
    *_both("again", "kubelet starts anew → knows them again", "s", None, "0.009", ""),
    *_both("rss_after_start", "memory (RSS) after the start", "MB", 60, "29", "30"),
    *_both("rss_after_calls", "memory (RSS) after the calls of Allocate", "MB", 60, "", ""),
    *_both("pss_after_calls", "memory (PSS) after the calls of Allocate", "MB", None, "", ""),
    *_both("rss_gatekeeper", "the gatekeeper's own memory (RSS)", "MB", None, "", ""),
    *_both("idle", "processor when idle, of one core", "%", 0.3, "0.25", ""),
    *_both("idle_gatekeeper", "the gatekeeper's own, idle", "%", None, "", ""),
    *_both("idle_emulated_gpu", "the emulated GPU's own, idle", "%", None, "", ""),
    Row("help", "`rota --help`", "s", 0.25),
)
DIGITS = {"s": 3, "ms": 2, "MB": 1, "%": 2}


@dataclass(slots=True)
class Figures:
    """Every value measured, by key."""

    values: dict[str, list[float]] = field(default_factory=dict)

    def add(self, key: str, value: float) -> None:
        """Note one more."""
        self.values.setdefault(key, []).append(value)

    def document(self) -> dict[str, Any]:
        """Each figure with its unit, aim, and every value: for machines."""
        rows = ((row, self.values.get(row.key, [])) for row in ROWS)
        return {row.key: _entry(row, values) for row, values in rows if values}

    def beside(self, other: Figures) -> str:
        """Markdown: the other's median and ours, and the ratio of each pair of rounds."""
        lines = ["| what | unit | medians | ratio (least–most) |", "| --- | --- | --- | --- |"]
        for row in ROWS:
            ours, theirs = self.values.get(row.key), other.values.get(row.key)
            if ours and theirs:
                lines.append(_ratio(row, ours, theirs))
        return "\n".join(lines)

    def table(self) -> str:
        """Markdown, one line a figure."""
        head = "| what | unit | min | median | max | values | aim | NVIDIA's, elsewhere |"
        lines = [head, "| --- | --- | --- | --- | --- | --- | --- | --- |"]
        measured = ((row, self.values.get(row.key)) for row in ROWS)
        lines += [_line(row, values) for row, values in measured if values]
        return "\n".join(lines)


def _ratio(row: Row, ours: list[float], theirs: list[float]) -> str:
    ratios = sorted(mine / other for mine, other in zip(ours, theirs, strict=False) if other)
    digits = DIGITS[row.unit]
    both = f"{median(theirs):.{digits}f} → {median(ours):.{digits}f}"
    spread = f"**×{median(ratios):.2f}** ({ratios[0]:.2f}–{ratios[-1]:.2f})" if ratios else ""
    return f"| {row.title} | {row.unit} | {both} | {spread} |"


def _entry(row: Row, values: list[float]) -> dict[str, Any]:
    return {
        "title": row.title,
        "unit": row.unit,
        "min": min(values),
        "median": median(values),
        "max": max(values),
        "aim": row.aim,
        "nvidia_elsewhere": row.other,
        "values": values,
    }


def _line(row: Row, values: list[float]) -> str:
    shown = [f"{each:.{DIGITS[row.unit]}f}" for each in (min(values), median(values), max(values))]
    shown[1] = f"**{shown[1]}**"
    aim = (
        "" if row.aim is None else f"{row.aim:g}{'' if median(values) <= row.aim else ' (missed)'}"
    )
    cells = (row.title, row.unit, *shown, str(len(values)), aim, row.other)
    return f"| {' | '.join(cells)} |"
