"""ResourceQuotas and LimitRanges."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from rota.config.check import Report

Places = Callable[..., list[str]]
Make = Callable[..., str]


def quota(hard: str) -> str:
    return f"kind: ResourceQuota\nmetadata: {{name: q}}\nspec:\n  hard:\n    {hard}\n"


def test_requests_is_the_prefix_that_counts(places: Places, config: Make) -> None:
    assert places({"c.yaml": config(), "q.yaml": quota("requests.nvidia.com/gpu: 4")}) == []


@pytest.mark.parametrize("name", ["limits.nvidia.com/gpu", "nvidia.com/gpu"])
def test_any_other_prefix_counts_nothing(places: Places, name: str) -> None:
    assert places({"q.yaml": quota(f"{name}: 4")}) == ["q.yaml:5:5 error quota-prefix"]


def test_a_quota_on_the_old_name_limits_nothing(
    checked: Callable[..., Report], config: Make
) -> None:
    renamed = config(block="renameByDefault: true")
    report = checked({"c.yaml": renamed, "q.yaml": quota("requests.nvidia.com/gpu: 4")})
    assert report.findings[-1].id == "quota-resource"
    assert report.findings[-1].hint == "write `requests.nvidia.com/gpu.shared`"


def test_a_quota_is_a_whole_number(places: Places) -> None:
    found = places({"q.yaml": quota("requests.nvidia.com/gpu: 1.5")})
    assert found == ["q.yaml:5:30 error quota-value"]


def test_quotas_on_other_things_are_left_alone(places: Places) -> None:
    assert places({"q.yaml": quota("limits.memory: 4Gi")}) == []


def test_a_limit_range_names_what_is_served(places: Places, config: Make) -> None:
    text = (
        "kind: LimitRange\nmetadata: {name: l}\nspec:\n  limits:\n  - max: {nvidia.com/gpus: 1}\n"
    )
    assert places({"c.yaml": config(), "l.yaml": text}) == ["l.yaml:5:11 error quota-resource"]
