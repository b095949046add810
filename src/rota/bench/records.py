"""What the programs wrote about their own work, and what that says of a stretch of time. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Span:
    """Work that a program did between two moments, in seconds of the monotonic clock.

    Attributes:
        start: when it asked for it, or when what came before it was done.
        end: when it was done.
        kernels: how much it was.
    """

    start: float
    end: float
    kernels: int


@dataclass(slots=True)
class Record:
    """One program's own account.

    Attributes:
        ready: when it was on the GPU; None while it is not.
        spans: its work, in order.
        answers: when each request or cell was done, and how long it took, in seconds.
        failed: why it gave up; empty if it did not.
        device: what it said of itself when it was ready.
    """

    ready: float | None = None
    spans: list[Span] = field(default_factory=list)
    answers: list[tuple[float, float]] = field(default_factory=list)
    failed: str = ""
    device: dict[str, Any] = field(default_factory=dict)

    def work(self, begin: float, end: float) -> float:
        """Kernels between two moments; of what reaches over an edge, the part that is inside."""
        return sum(_inside(span, begin, end) for span in self.spans)

    def latencies(self, begin: float, end: float) -> list[float]:
        """Seconds that the requests or cells took which were done between two moments."""
        return [seconds for at, seconds in self.answers if begin <= at < end]


def read(lines: Iterable[str], ahead: int) -> Record:
    """The record in a program's lines; a last line that is not whole yet is left out.

    Args:
        lines: one JSON object each.
        ahead: kernels of each of its requests or cells.
    """
    record, last = Record(), (0.0, 0)
    for line in lines:
        if line.endswith("\n"):
            last = _take(record, json.loads(line), last, ahead)
    return record


def _take(
    record: Record, line: dict[str, Any], last: tuple[float, int], ahead: int
) -> tuple[float, int]:
    """Add a line; when the last work was done and how many kernels there were by then."""
    at, done = float(line["at"]), last[1]
    match line["event"]:
        case "ready":
            record.ready, record.device = at, line
        case "failed":
            record.failed = str(line["why"])
            return last
        case "progress" if line["kernels"] > done:
            done = int(line["kernels"])
            record.spans.append(Span(last[0], at, done - last[1]))
        case "request" | "cell":
            record.answers.append((at, float(line["seconds"])))
            start = max(last[0], at - float(line["seconds"]))
            record.spans.append(Span(start, at, ahead))
        case _:
            return last
    return at, done


def _inside(span: Span, begin: float, end: float) -> float:
    length = span.end - span.start
    inside = min(span.end, end) - max(span.start, begin)
    if inside <= 0:
        return 0.0
    return span.kernels * min(1.0, inside / length) if length > 0 else float(span.kernels)


def percentile(values: Sequence[float], part: float) -> float:
    """The value under which that part of all lies, by nearest rank; 0 for no values."""
    if not values:
        return 0.0
    ranked = sorted(values)
    return ranked[min(len(ranked) - 1, int(part * len(ranked)))]
