"""A trace holds each turn, wait and state where and as long as it was, in Chrome's format."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import Any

import pytest

from rota.figures.model import State
from rota.trace.chrome import document, to_text
from rota.trace.recording import Recording
from tests.trace.scenes import BEGAN, GIB, client, snapshot, turn

Event = dict[str, Any]


def check_format(trace: dict[str, Any]) -> None:
    """What the format asks of every event, and what a viewer needs to nest spans."""
    assert set(trace) == {"displayTimeUnit", "otherData", "traceEvents"}
    assert all(isinstance(value, str) for value in trace["otherData"].values())
    named = {e["pid"] for e in trace["traceEvents"] if e["name"] == "process_name"}
    threads = {(e["pid"], e["tid"]) for e in trace["traceEvents"] if e["name"] == "thread_name"}
    for event in trace["traceEvents"]:
        assert event["ph"] in "MXC"
        assert isinstance(event["ts"], int)
        assert event["ts"] >= 0
        assert event["pid"] in named
        if event["ph"] == "X":
            assert (event["pid"], event["tid"]) in threads
            assert isinstance(event["dur"], int)
            assert event["dur"] > 0
        if event["ph"] == "C":
            assert all(isinstance(value, int | float) for value in event["args"].values())
    for track in threads:
        check_nesting([e for e in trace["traceEvents"] if _span_on(e, track)])


def _span_on(event: Event, track: tuple[int, int]) -> bool:
    return event["ph"] == "X" and (event["pid"], event["tid"]) == track


def check_nesting(spans: list[Event]) -> None:
    """Spans of a track follow one another or lie within one another."""
    ordered = sorted(spans, key=lambda one: (one["ts"], -one["dur"]))
    for one, other in pairwise(ordered):
        end = one["ts"] + one["dur"]
        assert other["ts"] >= end or other["ts"] + other["dur"] <= end


def spans(trace: dict[str, Any], name: str) -> list[tuple[float, float]]:
    """(beginning, end) in ms of all spans of that name."""
    found = [e for e in trace["traceEvents"] if e["ph"] == "X" and e["name"] == name]
    return [(e["ts"] / 1000, (e["ts"] + e["dur"]) / 1000) for e in found]


def counter(trace: dict[str, Any], name: str) -> list[tuple[float, dict[str, float]]]:
    found = [e for e in trace["traceEvents"] if e["ph"] == "C" and e["name"] == name]
    return [(e["ts"] / 1e6, e["args"]) for e in found]


def test_a_turn_its_wait_and_its_closing_are_where_they_were() -> None:
    snapshots = (snapshot(0, client("a")), snapshot(1, client("a")))
    trace = document(Recording(snapshots, (turn(7, "a", 0.3, 0.4),)))
    check_format(trace)
    assert spans(trace, "wait") == [(200, 300)]
    assert spans(trace, "turn") == [(300, 400)]
    assert spans(trace, "close gates") == [(398, 400)]
    shown = next(e for e in trace["traceEvents"] if e["name"] == "turn")
    assert shown["args"] == {
        "number": 7, "ended because": "expired", "turn ms": 100.0, "GPU ms": 100.0,
        "waited ms": 100.0, "closing ms": 2.0,
    }  # fmt: skip


def test_what_lies_outside_of_the_recording_is_cut_off() -> None:
    snapshots = (snapshot(1, client("a")), snapshot(2, client("a")))
    turns = (turn(0, "a", 0.0, 0.9), turn(1, "a", 0.95, 1.05), turn(2, "a", 1.95, 2.05))
    trace = document(Recording(snapshots, turns))
    check_format(trace)
    assert spans(trace, "turn") == [(0, 50), (950, 1000)]


def test_a_wait_does_not_reach_into_the_turn_before() -> None:
    """Overlapped handover: the next wait is noticed while the gates close."""
    snapshots = (snapshot(0, client("a")), snapshot(1, client("a")))
    turns = (turn(0, "a", 0.1, 0.2), turn(1, "a", 0.3, 0.4, waited=0.101))
    trace = document(Recording(snapshots, turns))
    check_format(trace)
    assert spans(trace, "wait") == [(0, 100), (200, 300)]


def test_a_turn_under_way_and_a_wait_under_way_are_shown_as_far_as_they_came() -> None:
    last = snapshot(
        1,
        client("a", state=State.TURN, turn_since=BEGAN + 0.9),
        client("b", state=State.WAITS, waiting=0.1),
    )
    trace = document(Recording((snapshot(0, client("a"), client("b")), last), ()))
    check_format(trace)
    assert spans(trace, "turn") == [(900, 1000)]
    assert spans(trace, "wait") == [(900, 1000)]


def test_a_turn_that_ended_after_the_last_look_is_not_shown_twice() -> None:
    last = snapshot(1, client("a", state=State.TURN, turn_since=BEGAN + 0.9))
    trace = document(Recording((snapshot(0, client("a")), last), (turn(0, "a", 0.9, 1.01),)))
    assert spans(trace, "turn") == [(900, 1000)]


def test_states_without_turns_are_spans_from_when_they_are_seen() -> None:
    ungated = client("a", state=State.UNGATED, why="the driver is too old")
    snapshots = (
        snapshot(0, client("a")), snapshot(1, ungated), snapshot(2, ungated), snapshot(3),
    )  # fmt: skip
    trace = document(Recording(snapshots, ()))
    check_format(trace)
    assert spans(trace, "ungated") == [(1000, 3000)]
    paged = client("a", state=State.PAGED, paged_out_bytes=2 * GIB)
    trace = document(Recording((snapshot(0, paged), snapshot(1, paged)), ()))
    assert spans(trace, "paged") == [(0, 1000)]
    assert counter(trace, "paged out MiB")[0] == (0, {"a": 2048})


def test_counters_hold_memory_and_who_had_how_much_of_the_gpu() -> None:
    snapshots = (
        snapshot(0, client("a"), client("b", memory_bytes=2 * GIB)),
        snapshot(2, client("a", gpu_seconds_total=1.5), client("b", gpu_seconds_total=0.5)),
    )
    trace = document(Recording(snapshots, ()))
    check_format(trace)
    assert counter(trace, "GPU %") == [(0, {"busy": 97.0}), (2, {"busy": 97.0})]
    assert counter(trace, "GPU % by client") == [(0, {"a": 75.0, "b": 25.0})]
    assert counter(trace, "memory MiB")[0] == (0, {"a": 1024, "b": 2048})


def test_each_client_has_a_track_and_an_emulated_gpu_says_so() -> None:
    """A client that came and went between two looks has one too."""
    recording = Recording((snapshot(0, client("a")), snapshot(1)), (turn(0, "brief", 0.2, 0.3),))
    trace = document(recording)
    check_format(trace)
    names = [e["args"].get("name") for e in trace["traceEvents"] if e["ph"] == "M"]
    assert "GPU 0: NVIDIA H200 (emulated)" in names
    assert {"a", "brief"} <= set(names)
    assert trace["otherData"]["emulated"] == "yes"


@pytest.mark.parametrize("name", ["plain", "ünïcode/pod/“quoted”"])
def test_the_text_is_the_document(name: str) -> None:
    trace = document(Recording((snapshot(0, client(name)), snapshot(1)), ()))
    text = to_text(trace)
    assert json.loads(text) == trace
    assert len(text.splitlines()) == len(trace["traceEvents"]) + 2
