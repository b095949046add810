"""What a measurement comes to: ratios, latencies, fairness. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from rota.bench.records import percentile
from rota.bench.scenarios import (
    DRIVER,
    MODES,
    MPS,
    NOTEBOOK,
    SCENARIOS,
    SERVER,
    SOLO,
    TRAINER,
    Scenario,
)
from rota.bench.slots import Program, Slot
from rota.scheduling.log import jain


@dataclass(frozen=True, slots=True)
class Measure:
    """One row of the table.

    Attributes:
        key: for machines.
        title: for people.
        digits: after the point.
        against: its ratio to the driver's own slicing in the same round says more than itself.
    """

    key: str
    title: str
    digits: int = 3
    against: bool = False


MEASURES = (
    Measure("total", "total of solo"),
    Measure("jain", "Jain", 4),
    Measure("off", "furthest from its share, points", 2),
    Measure("trainer", "trainer, of solo"),
    Measure("request_p50", "request p50, ms", 1, True),
    Measure("request_p99", "request p99, ms", 1, True),
    Measure("cell_p50", "cell p50, ms", 1, True),
    Measure("cell_p99", "cell p99, ms", 1, True),
    Measure("start_p50", "newcomer on the GPU after, ms", 0, True),
    Measure("cpu", "gatekeeper, % of a core", 1),
)


@dataclass(frozen=True, slots=True)
class Spread:
    """A figure over the rounds: the median, and the least and the most."""

    middle: float
    least: float
    most: float


Figures = Mapping[str, float]
Table = Mapping[str, Mapping[str, Mapping[str, Spread]]]
"""Scenario → measure (`<key>`, or `<key>/driver` for the ratio to the driver's) → mode → spread."""


def solo_rate(slots: Iterable[Slot]) -> float:
    """Work a second of one program alone, without turns: the median; 0 where it was not measured."""
    rates = [s.programs[0].rate for s in slots if s.scenario == SOLO and s.mode == DRIVER and not s.error]  # fmt: skip
    return median(rates) if rates else 0.0


def figures(slot: Slot, solo: float) -> dict[str, float]:
    """The measures of one measurement, those that its programs give."""
    found = _of_work(slot, solo) | _latencies("request", slot.programs, SERVER)
    found |= _latencies("cell", slot.programs, NOTEBOOK)
    if slot.starts:
        found["start_p50"] = 1e3 * median(slot.starts)
    if slot.mode != MPS:
        found["cpu"] = 100 * slot.cpu
    return found


def _of_work(slot: Slot, solo: float) -> dict[str, float]:
    programs = slot.programs
    total = sum(program.rate for program in programs)
    found = {"total": total / solo} if solo else {}
    if _saturating(programs) and total:
        weights = sum(program.weight for program in programs)
        found["jain"] = jain(program.rate / program.weight for program in programs)
        found["off"] = 100 * max(abs(p.rate / total - p.weight / weights) for p in programs)
    trainers = [program.rate for program in programs if program.role == TRAINER]
    if solo and len(trainers) == 1 < len(programs):
        found["trainer"] = trainers[0] / solo
    return found


def _saturating(programs: Sequence[Program]) -> bool:
    return len(programs) > 1 and all(program.role == TRAINER for program in programs)


def _latencies(name: str, programs: Sequence[Program], role: str) -> dict[str, float]:
    values = [1e3 * each for p in programs if p.role == role for each in p.latencies]
    if not values:
        return {}
    return {f"{name}_p50": percentile(values, 0.5), f"{name}_p99": percentile(values, 0.99)}


def table(slots: Sequence[Slot]) -> Table:
    """Every measure of every scenario in every mode, over the rounds."""
    solo = solo_rate(slots)
    by_round = {(s.scenario, s.round, s.mode): figures(s, solo) for s in slots if not s.error}
    values: dict[str, dict[str, dict[str, list[float]]]] = {}
    for (scenario, number, mode), found in by_round.items():
        beside = by_round.get((scenario, number, DRIVER), {})
        for key, value in (found | _ratios(found, beside)).items():
            values.setdefault(scenario, {}).setdefault(key, {}).setdefault(mode, []).append(value)
    return {
        scenario: {
            key: {mode: _spread(modes[mode]) for mode in MODES if mode in modes}
            for key, modes in keys.items()
        }
        for scenario, keys in values.items()
    }


def _ratios(found: Figures, driver: Figures) -> dict[str, float]:
    keys = [measure.key for measure in MEASURES if measure.against]
    return {f"{k}/driver": found[k] / driver[k] for k in keys if k in found and driver.get(k)}


def _spread(values: Sequence[float]) -> Spread:
    return Spread(median(values), min(values), max(values))


def cell(key: str, digits: int, row: Mapping[str, Mapping[str, Spread]], mode: str) -> str:
    """A cell of the table: median, least to most, and the ratio to the driver's."""
    spread = row[key].get(mode)
    if spread is None:
        return "–"
    text = f"{spread.middle:.{digits}f}"
    if spread.least != spread.most:
        text += f" ({spread.least:.{digits}f}–{spread.most:.{digits}f})"
    ratio = row.get(f"{key}/driver", {}).get(mode)
    return text + (f" ×{ratio.middle:.2f}" if ratio and mode != DRIVER else "")


def title_of(name: str) -> str:
    """The scenario's title, also of one that is kept only in an old document."""
    known: dict[str, Scenario] = {scenario.name: scenario for scenario in SCENARIOS}
    return known[name].title if name in known else name
