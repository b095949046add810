"""Resource names: what pods ask for is what a config serves."""

from __future__ import annotations

from collections.abc import Callable

import pytest

Places = Callable[..., list[str]]
Make = Callable[..., str]


@pytest.mark.parametrize(
    ("entry", "block"),
    [("", "renameByDefault: true"), ("rename: nvidia.com/gpu.shared", "")],
)
def test_the_old_name_of_a_renamed_resource_is_an_error(
    places: Places, config: Make, pod: Make, entry: str, block: str
) -> None:
    files = {"c.yaml": config(entry, block), "p.yaml": pod("limits: {nvidia.com/gpu: 1}")}
    assert "p.yaml:8:32 error resource-renamed" in places(files)


def test_the_new_name_is_well(places: Places, config: Make, pod: Make) -> None:
    files = {
        "c.yaml": config(block="renameByDefault: true"),
        "p.yaml": pod("limits: {nvidia.com/gpu.shared: 1}"),
    }
    assert places(files) == []


def test_the_new_name_of_what_nobody_renames_is_an_error(
    places: Places, config: Make, pod: Make
) -> None:
    files = {"c.yaml": config(), "p.yaml": pod("limits: {nvidia.com/gpu.shared: 1}")}
    assert places(files) == ["p.yaml:8:39 error resource-unserved"]


def test_the_old_name_stays_for_devices_that_are_not_renamed(
    places: Places, config: Make, pod: Make
) -> None:
    some = config("devices: [0]\nrename: nvidia.com/small")
    files = {"c.yaml": some, "p.yaml": pod("limits: {nvidia.com/gpu: 1}")}
    assert not [place for place in places(files) if place.startswith("p.yaml")]


def test_only_the_policys_default_counts(
    places: Places, config_map: str, policy: str, pod: Make
) -> None:
    block = config_map[config_map.index("  any:") :].replace("  any:", "  other:")
    other = block.replace("timeSlicing:\n", "timeSlicing:\n        renameByDefault: true\n")
    files = {
        "m.yaml": config_map + other,
        "p.yaml": policy,
        "pod.yaml": pod("limits: {nvidia.com/gpu.shared: 1}"),
    }
    assert places(files) == ["pod.yaml:8:39 error resource-unserved"]


def test_mig_names_are_served_under_the_mixed_strategy(
    places: Places, config: Make, pod: Make
) -> None:
    asks = pod("limits: {nvidia.com/mig-1g.10gb: 1}")
    mixed = config(rest="flags: {migStrategy: mixed}")
    assert places({"c.yaml": mixed, "p.yaml": asks}) == []
    assert places({"c.yaml": config(), "p.yaml": asks}) == ["p.yaml:8:40 error resource-unserved"]


@pytest.mark.parametrize("name", ["nvida.com/gpu", "nvidia/gpu", "nvidia.com.gpu"])
def test_a_name_that_is_nearly_nvidias_is_a_warning(places: Places, pod: Make, name: str) -> None:
    found = places({"p.yaml": pod(f"limits: {{{name}: 1}}")})
    assert [place.split(" ", 1)[1] for place in found] == ["warning resource-name"]


@pytest.mark.parametrize("name", ["amd.com/gpu", "gpu.intel.com/i915", "cpu", "memory"])
def test_others_resources_are_left_alone(places: Places, pod: Make, name: str) -> None:
    assert places({"p.yaml": pod(f"limits: {{{name}: 1}}")}) == []


def test_without_any_config_every_name_may_be_served(places: Places, pod: Make) -> None:
    assert places({"p.yaml": pod("limits: {nvidia.com/gpu.shared: 1}")}) == []
