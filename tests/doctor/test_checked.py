"""The rules of `rota check` over live objects."""

from __future__ import annotations

import pytest

from rota.config.findings import Level
from rota.doctor.checked import checked
from tests.doctor.build import SHARING, config_map, pod, policy

MAP = "ConfigMap gpu-operator/time-slicing-config"


def test_a_mistake_in_a_config_is_told_by_key_and_line() -> None:
    text = SHARING.replace("replicas: 4", "replica: 4")
    (found, *_) = [f for f in checked([("ConfigMap", config_map(text))]) if f.level is Level.ERROR]
    assert str(found.mark) == MAP
    assert found.message.startswith("key any, line 5: ")
    assert found.hint.endswith("kubectl edit configmap time-slicing-config -n gpu-operator")


@pytest.mark.parametrize("end", ["", "\n", "\n\n"])
@pytest.mark.parametrize("start", ["", "\n\n", "# Küche ☃\n", "  \n"])
def test_each_key_keeps_its_own_lines(start: str, end: str) -> None:
    two = config_map(start + SHARING.strip() + end, key="first")
    two["data"]["second"] = "version: v1\nflags:\n  migStrategi: none\n"
    found = checked([("ConfigMap", two)])
    assert [f.message[:22] for f in found if f.id == "unknown-key"] == [
        "key second, line 3: in"
    ] or [f.message.partition(":")[0] for f in found if f.id == "unknown-key"] == [
        "key second, line 3"
    ]


def test_a_text_that_no_block_can_hold_is_checked_too() -> None:
    found = checked([("ConfigMap", config_map("version: v1\r\nsharing: \x07\r\n"))])
    assert any(f.level is Level.ERROR and str(f.mark) == MAP for f in found)


def test_pods_and_quotas_are_held_against_the_config() -> None:
    renamed = SHARING + "      rename: nvidia.com/gpu.shared\n"
    quota = {
        "metadata": {"name": "team", "namespace": "default"},
        "spec": {"hard": {"limits.nvidia.com/gpu": "4"}},
    }
    found = checked([
        ("ConfigMap", config_map(renamed)), ("ClusterPolicy", policy()), ("Pod", pod("train-0")),
        ("ResourceQuota", quota),
    ])  # fmt: skip
    by_object = {(f.id, str(f.mark)) for f in found}
    assert ("resource-renamed", "Pod default/train-0") in by_object
    assert ("quota-prefix", "ResourceQuota default/team") in by_object


def test_what_the_cluster_tells_better_is_left_out() -> None:
    helper = pod("h", 0, env="all")
    found = checked([("ClusterPolicy", policy("another", "none")), ("Pod", helper)])
    assert not {f.id for f in found} & {"policy-configmap", "policy-default", "visible-devices"}


def test_a_config_map_without_data() -> None:
    empty = config_map()
    del empty["data"]
    found = checked([("ConfigMap", empty), ("ClusterPolicy", policy())])
    assert not [f for f in found if f.level is Level.ERROR]
