"""A recording in the Chrome trace format, which Perfetto, Chrome and others open. Pure.

A GPU is a process of the trace and a client of it a thread, so that each has a track of its own: its
waits, its turns with the closing of its gates inside, and what it is where there are no turns.
Counters hang on the GPU. Format: "Trace Event Format", docs.google.com/document/d/1CvAClvFfyA5R-Ph
YUmn5OOQtYMH4h6I0nSsKchNAySU; times are µs from the beginning of the recording.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator
from itertools import pairwise
from typing import Any

from rota.figures.model import ClientFigures, Snapshot, State, TurnFigures
from rota.trace.recording import Recording

Event = dict[str, Any]
Key = tuple[str, str]

MICRO = 1_000_000
FORMAT = "rota-trace/1"

WITHOUT_TURNS = (State.UNGATED, State.PAGED, State.STARTING)
"""States that are spans of their own: turns do not show them."""


def document(recording: Recording) -> dict[str, Any]:
    """The whole file as plain values."""
    last = recording.snapshots[-1]
    tracks = Tracks(recording.snapshots, recording.turns)
    spans = [*_turns(recording, tracks), *_states(recording, tracks)]
    events = [*tracks.names(last), *spans, *_counters(recording, tracks)]
    return {
        "displayTimeUnit": "ms",
        "otherData": {
            "format": FORMAT,
            "node": last.node,
            "began": f"{recording.begin:.6f}",
            "seconds": f"{recording.end - recording.begin:.6f}",
            "emulated": "yes" if last.emulated else "no",
            "driver": last.driver_version,
            "rota": last.own.version,
            "lost_turns": str(recording.lost),
        },
        "traceEvents": events,
    }


def to_text(trace: dict[str, Any]) -> str:
    """As JSON with one event a line, so that it can be read and compared."""
    head = {key: value for key, value in trace.items() if key != "traceEvents"}
    lines = ",\n".join(json.dumps(event, ensure_ascii=False) for event in trace["traceEvents"])
    return f'{json.dumps(head, ensure_ascii=False)[:-1]}, "traceEvents": [\n{lines}\n]}}\n'


class Tracks:
    """Which number each GPU and each client on it has: a process and a thread of the trace."""

    def __init__(self, snapshots: Iterable[Snapshot], turns: Iterable[TurnFigures]) -> None:
        self._gpus: dict[str, int] = {}
        self._clients: dict[Key, int] = {}
        for snapshot in snapshots:
            for gpu in snapshot.gpus:
                self._gpus.setdefault(gpu.uuid, gpu.index + 1)
            for one in snapshot.clients:
                self._clients.setdefault((one.client, one.gpu), len(self._clients) + 1)
        for turn in turns:  # of a client that came and went between two snapshots
            self._clients.setdefault((turn.client, turn.gpu), len(self._clients) + 1)

    def of(self, client: str, gpu: str) -> dict[str, int]:
        """Where that client's events go; a MIG device that no snapshot names is a process too."""
        return {"pid": self.gpu(gpu), "tid": self._clients[client, gpu]}

    def gpu(self, gpu: str) -> int:
        """Where that GPU's events go."""
        return self._gpus.setdefault(gpu, 1 + max(self._gpus.values(), default=0))

    def names(self, snapshot: Snapshot) -> Iterator[Event]:
        """What the tracks are called, and in which order they stand."""
        products = {gpu.uuid: gpu.product for gpu in snapshot.gpus}
        mark = " (emulated)" if snapshot.emulated else ""
        for uuid, number in list(self._gpus.items()):
            name = f"GPU {number - 1}: {products.get(uuid, uuid)}{mark}"
            yield _named("process_name", {"name": name}, pid=number)
            yield _named("process_labels", {"labels": uuid}, pid=number)
            yield _named("process_sort_index", {"sort_index": number}, pid=number)
        for (client, gpu), number in self._clients.items():
            where = {"pid": self.gpu(gpu), "tid": number}
            yield _named("thread_name", {"name": client}, **where)
            yield _named("thread_sort_index", {"sort_index": number}, **where)


def _named(name: str, args: dict[str, Any], **where: int) -> Event:
    return {"ph": "M", "name": name, "ts": 0, **where, "args": args}


def _turns(recording: Recording, tracks: Tracks) -> Iterator[Event]:
    """Waits, turns and closings; a turn that is under way when the recording ends is one as well."""
    free: defaultdict[Key, float] = defaultdict(lambda: recording.begin)
    whole = [*recording.turns, *_open(recording)]
    for turn in sorted(whole, key=lambda one: one.start):
        key = (turn.client, turn.gpu)
        where = tracks.of(*key)
        args = _facts(turn)
        if turn.waited > 0:
            begin = max(free[key], turn.start - turn.waited)
            yield from _span(recording, "wait", begin, turn.start, where, args)
        yield from _span(recording, "turn", turn.start, turn.end, where, args)
        yield from _span(recording, "close gates", turn.end - turn.closing, turn.end, where, {})
        free[key] = max(free[key], turn.end)
    for one in recording.snapshots[-1].clients:
        if one.state is State.WAITS:
            begin = max(free[one.client, one.gpu], recording.end - one.waiting)
            where = tracks.of(one.client, one.gpu)
            yield from _span(recording, "wait", begin, recording.end, where, {})


def _open(recording: Recording) -> Iterator[TurnFigures]:
    """Turns that had not ended at the last look, as far as they came."""
    ended: defaultdict[Key, float] = defaultdict(float)
    for turn in recording.turns:
        key = (turn.client, turn.gpu)
        ended[key] = max(ended[key], turn.end)
    for one in recording.snapshots[-1].clients:
        begin = one.turn_since
        if begin is not None and begin >= ended[one.client, one.gpu]:
            yield TurnFigures(
                -1, one.client, one.gpu, begin, recording.end, "not ended", 0.0, 0.0, 0.0
            )


def _facts(turn: TurnFigures) -> dict[str, Any]:
    if turn.number < 0:
        return {"ended because": turn.why}
    return {
        "number": turn.number,
        "ended because": turn.why,
        "turn ms": _ms(turn.end - turn.start),
        "GPU ms": _ms(turn.used),
        "waited ms": _ms(turn.waited),
        "closing ms": _ms(turn.closing),
    }


def _ms(seconds: float) -> float:
    return round(seconds * 1000, 3)


def _span(
    recording: Recording,
    name: str,
    begin: float,
    end: float,
    where: dict[str, int],
    args: dict[str, Any],
) -> Iterator[Event]:
    """One complete event, cut to the recording; none if nothing of it is left."""
    begin, end = max(begin, recording.begin), min(end, recording.end)
    if end > begin:
        start = round((begin - recording.begin) * MICRO)
        length = round((end - recording.begin) * MICRO) - start
        yield {"ph": "X", "cat": "rota", "name": name, "ts": start, "dur": length, **where, "args": args}  # fmt: skip


def _states(recording: Recording, tracks: Tracks) -> Iterator[Event]:
    """States without turns, each from the first snapshot that shows it to the first that does not."""
    running: dict[Key, tuple[float, ClientFigures]] = {}
    for snapshot in recording.snapshots:
        now = {(c.client, c.gpu): c for c in snapshot.clients if c.state in WITHOUT_TURNS}
        for key, (begin, shown) in list(running.items()):
            if key not in now or _label(now[key]) != _label(shown):
                yield from _state(recording, tracks, shown, begin, snapshot.at)
                del running[key]
        for key, one in now.items():
            running.setdefault(key, (snapshot.at, one))
    for begin, shown in running.values():
        yield from _state(recording, tracks, shown, begin, recording.end)


def _label(one: ClientFigures) -> tuple[State, str]:
    return one.state, one.why


def _state(
    recording: Recording, tracks: Tracks, one: ClientFigures, begin: float, end: float
) -> Iterator[Event]:
    args = {"why": one.why} if one.why else {}
    where = tracks.of(one.client, one.gpu)
    yield from _span(recording, str(one.state), begin, end, where, args)


def _counters(recording: Recording, tracks: Tracks) -> Iterator[Event]:
    """Memory and utilisation of each GPU and each client, at each snapshot."""
    for snapshot in recording.snapshots:
        at = round((snapshot.at - recording.begin) * MICRO)
        for gpu in snapshot.gpus:
            pid = tracks.gpu(gpu.uuid)
            if gpu.utilization is not None:
                yield _counter("GPU %", at, pid, {"busy": round(gpu.utilization * 100, 1)})
            values = {c.client: c.memory_bytes for c in snapshot.clients if c.gpu == gpu.uuid}
            if gpu.ballast_bytes:
                values["ballast"] = gpu.ballast_bytes
            if values:
                yield _counter("memory MiB", at, pid, {k: v >> 20 for k, v in values.items()})
            paged = {c.client: c.paged_out_bytes >> 20 for c in snapshot.clients if c.gpu == gpu.uuid}  # fmt: skip
            if any(paged.values()):
                yield _counter("paged out MiB", at, pid, paged)
    yield from _rates(recording, tracks)


def _rates(recording: Recording, tracks: Tracks) -> Iterator[Event]:
    """GPU % of each client, second by second, from its GPU seconds."""
    for before, after in pairwise(_seconds(recording.snapshots)):
        length = after.at - before.at
        had = {(c.client, c.gpu): c.gpu_seconds_total for c in before.clients}
        rates: defaultdict[str, dict[str, float]] = defaultdict(dict)
        for one in after.clients:
            used = one.gpu_seconds_total - had.get((one.client, one.gpu), one.gpu_seconds_total)
            rates[one.gpu][one.client] = round(100 * max(0.0, used) / length, 1)
        at = round((before.at - recording.begin) * MICRO)
        for gpu, values in rates.items():
            yield _counter("GPU % by client", at, tracks.gpu(gpu), values)


def _seconds(snapshots: tuple[Snapshot, ...]) -> Iterator[Snapshot]:
    """Snapshots a second or more apart: in less than that, whole turns come and go."""
    last = snapshots[0]
    yield last
    for snapshot in snapshots[1:]:
        if snapshot.at >= last.at + 0.999:
            last = snapshot
            yield last
    if snapshots[-1].at - last.at > 0.5 or (last is snapshots[0] and snapshots[-1].at > last.at):
        yield snapshots[-1]


def _counter(name: str, at: int, pid: int, values: dict[str, Any]) -> Event:
    return {"ph": "C", "cat": "rota", "name": name, "ts": at, "pid": pid, "tid": 0, "args": values}
