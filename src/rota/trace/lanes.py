"""A trace file read back, as what is drawn of it: lanes and series of each GPU. Pure."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from rota.errors import RotaError
from rota.trace.chrome import FORMAT, MICRO

Span = tuple[float, float]
"""Beginning and length, in seconds from the beginning of the recording."""


class TraceError(RotaError):
    """A file is no trace of ours."""


@dataclass(slots=True)
class Lane:
    """One client on one GPU.

    Attributes:
        client: its name.
        spans: name of the span (`turn`, `wait`, `close gates`, `ungated` …) → the spans.
        waits: how long it waited before each turn that ended, in seconds.
        used: its GPU seconds in turns.
    """

    client: str
    spans: dict[str, list[Span]] = field(default_factory=lambda: defaultdict(list))
    waits: list[float] = field(default_factory=list)
    used: float = 0.0

    @property
    def wait_p95(self) -> float | None:
        """In seconds; None if no turn ended."""
        ordered = sorted(self.waits)
        return ordered[math.ceil(0.95 * len(ordered)) - 1] if ordered else None


@dataclass(slots=True)
class GpuTrace:
    """One GPU: its lanes in order, and its counters: name → series → (seconds, value)."""

    name: str
    lanes: dict[int, Lane] = field(default_factory=dict)
    counters: dict[str, dict[str, list[tuple[float, float]]]] = field(
        default_factory=lambda: defaultdict(lambda: defaultdict(list))
    )


@dataclass(frozen=True, slots=True)
class Trace:
    """A whole file.

    Attributes:
        seconds: how long the recording is.
        facts: node, driver, `emulated` and the like, as text.
        gpus: in order.
    """

    seconds: float
    facts: Mapping[str, str]
    gpus: tuple[GpuTrace, ...]


def read(document: Any) -> Trace:
    """What is in a document of `chrome`.

    Raises:
        TraceError: it is none.
    """
    try:
        facts = document["otherData"]
        if facts["format"] != FORMAT:
            raise TraceError(f"its format is {facts['format']!r}, not {FORMAT!r}")
        gpus = _gpus(document["traceEvents"])
        return Trace(float(facts["seconds"]), facts, tuple(gpus[pid] for pid in sorted(gpus)))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise TraceError(f"no trace that `rota trace` wrote: {error!r}") from None


def _gpus(events: Iterable[Mapping[str, Any]]) -> dict[int, GpuTrace]:
    gpus: dict[int, GpuTrace] = {}
    for event in events:
        kind, name, pid = event["ph"], event["name"], event["pid"]
        if name == "process_name":
            gpus[pid] = GpuTrace(event["args"]["name"])
        elif name == "thread_name":
            gpus[pid].lanes[event["tid"]] = Lane(event["args"]["name"])
        elif kind == "X":
            _add(gpus[pid].lanes[event["tid"]], event)
        elif kind == "C":
            for series, value in event["args"].items():
                gpus[pid].counters[name][series].append((event["ts"] / MICRO, float(value)))
    return gpus


def _add(lane: Lane, event: Mapping[str, Any]) -> None:
    lane.spans[event["name"]].append((event["ts"] / MICRO, event["dur"] / MICRO))
    args = event["args"]
    if event["name"] == "turn" and "GPU ms" in args:
        lane.waits.append(args["waited ms"] / 1000)
        whole = args["turn ms"] / 1000  # the part of it that lies in the recording
        lane.used += args["GPU ms"] / 1000 * (event["dur"] / MICRO / whole if whole else 0.0)
