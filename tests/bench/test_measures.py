import pytest

from rota.bench.measures import cell, figures, solo_rate, table
from rota.bench.slots import Program, Slot, parse_slot


def slot(scenario: str, mode: str, *programs: Program, number: int = 0) -> Slot:
    return Slot(scenario, mode, number, 2.0, programs, cpu=0.03)


def trainer(rate: float, weight: float = 1.0) -> Program:
    return Program("trainer", weight, rate)


SOLO = slot("solo", "driver", trainer(0.8))


def test_solo_is_the_median_of_one_program_without_turns() -> None:
    rates = [slot("solo", "driver", trainer(r), number=n) for n, r in enumerate((0.7, 0.9, 0.8))]
    others = [slot("solo", "overlapped", trainer(0.1)), Slot("solo", "driver", 3, error="no")]
    assert solo_rate([*rates, *others]) == 0.8


def test_saturating_programs_are_judged_by_total_and_by_shares() -> None:
    found = figures(slot("weights-3-1", "overlapped", trainer(0.6, 3), trainer(0.2, 1)), 0.8)
    assert found["total"] == pytest.approx(1)
    assert found["jain"] == pytest.approx(1)
    assert found["off"] == pytest.approx(0)
    assert found["cpu"] == pytest.approx(3)


def test_how_far_the_worst_is_from_its_share_is_in_points() -> None:
    assert figures(slot("two", "driver", trainer(0.6), trainer(0.4)), 1.0)["off"] == pytest.approx(
        10
    )


def test_a_trainer_beside_a_server_has_its_own_row_and_the_server_its_latencies() -> None:
    server = Program("server", 1, 0.1, (0.01, 0.02, 0.03))
    found = figures(slot("small", "driver", trainer(0.6), server), 0.8)
    assert found["trainer"] == pytest.approx(0.75)
    assert found["request_p50"] == pytest.approx(20)
    assert found["request_p99"] == pytest.approx(30)
    assert "jain" not in found


def test_the_gatekeeper_has_no_row_where_it_does_nothing() -> None:
    assert "cpu" not in figures(slot("two", "mps", trainer(1), trainer(1)), 1.0)


def test_ratios_are_to_the_drivers_own_slicing_in_the_same_round() -> None:
    def served(mode: str, number: int, seconds: float) -> Slot:
        server = Program("server", 1, 0.1, (seconds,))
        return slot("large", mode, trainer(0.5), server, number=number)

    slots = [
        SOLO, served("driver", 0, 0.1), served("driver", 1, 0.2),
        served("overlapped", 0, 0.05), served("overlapped", 1, 0.1),
    ]  # fmt: skip
    row = table(slots)["large"]
    assert row["request_p50/driver"]["overlapped"].middle == pytest.approx(0.5)
    assert cell("request_p50", 1, row, "overlapped") == "75.0 (50.0–100.0) ×0.50"
    assert cell("request_p50", 1, row, "mps") == "–"


def test_a_measurement_that_failed_has_no_figures() -> None:
    assert "two" not in table([SOLO, Slot("two", "driver", 0, error="it went away")])


def test_a_measurement_survives_being_kept() -> None:
    kept = slot("small", "driver", trainer(0.6), Program("server", 1, 0.1, (0.01,)))
    assert parse_slot(kept.document()) == kept
