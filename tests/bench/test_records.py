import json
from typing import Any

import pytest

from rota.bench.records import Record, Span, percentile, read


def line(at: float, event: str, **fields: Any) -> str:
    return json.dumps({"at": at, "event": event, **fields}) + "\n"


def test_a_trainers_progress_becomes_spans_from_one_report_to_the_next() -> None:
    lines = [line(1, "ready"), line(2, "progress", kernels=10), line(3, "progress", kernels=30)]
    record = read(lines, ahead=10)
    assert record.ready == 1
    assert record.spans == [Span(1, 2, 10), Span(2, 3, 20)]


def test_two_threads_that_report_in_the_wrong_order_lose_and_add_nothing() -> None:
    reports = [(2, 10), (3, 30), (3.1, 20), (4, 40)]
    lines = [line(1, "ready"), *(line(at, "progress", kernels=n) for at, n in reports)]
    assert read(lines, ahead=10).work(0, 9) == 40


def test_a_request_is_work_from_when_it_was_due_and_never_before_the_last_was_done() -> None:
    lines = [line(0, "ready"), line(1, "request", seconds=0.5), line(1.2, "request", seconds=0.6)]
    record = read(lines, ahead=4)
    assert record.spans == [Span(0.5, 1, 4), Span(1, 1.2, 4)]
    assert record.latencies(0, 1.1) == [0.5]


def test_a_line_that_is_being_written_is_left_for_later() -> None:
    assert read([line(1, "ready"), '{"at": 2, "ev'], ahead=1).ready == 1


def test_what_a_program_said_when_it_gave_up_is_kept() -> None:
    assert read([line(1, "failed", error="GpuError", why="no GPU")], ahead=1).failed == "no GPU"


def test_of_work_that_reaches_over_an_edge_the_part_inside_counts() -> None:
    record = Record(spans=[Span(0, 2, 10), Span(2, 4, 10)])
    assert record.work(1, 3) == pytest.approx(10)
    assert record.work(1, 1.5) == pytest.approx(2.5)
    assert record.work(4, 8) == 0


def test_percentiles_are_values_that_were_measured() -> None:
    assert percentile([3, 1, 2], 0.5) == 2
    assert percentile(range(1, 101), 0.99) == 100
    assert percentile([], 0.5) == 0
