"""When things happened to an object."""

from __future__ import annotations

from datetime import UTC, datetime

from rota.cluster.times import began, edited, moment_of

NOON = datetime(2026, 11, 25, 12, tzinfo=UTC)


def test_a_time_is_one_of_the_api_or_none() -> None:
    assert moment_of("2026-11-25T12:00:00Z") == moment_of("2026-11-25T12:00:00") == NOON
    assert moment_of(None) is None


def test_an_edit_is_one_of_the_data() -> None:
    said = {"time": "2026-11-25T12:00:00Z", "fieldsV1": {"f:data": {}}}
    later = {"time": "2026-11-25T14:00:00Z", "fieldsV1": {"f:metadata": {}}}
    assert edited({"metadata": {"managedFields": [said, later]}}) == NOON
    assert edited({"metadata": {"creationTimestamp": "2026-11-25T12:00:00Z"}}) == NOON


def test_a_pod_began_with_the_last_of_its_containers() -> None:
    at = ("2026-11-25T12:00:00Z", "2026-11-25T11:00:00Z")
    states = [{"state": {"running": {"startedAt": time}}} for time in at]
    assert began({"status": {"containerStatuses": [*states, {"state": {"waiting": {}}}]}}) == NOON
    assert began({}) is None
