"""Nodes: what they offer is what their GPUs and their config come to."""

from __future__ import annotations

from typing import Any

import pytest

from rota.config.findings import Finding
from tests.doctor.build import (
    LATER,
    SHARING,
    agent,
    agents,
    config_map,
    ids,
    node,
    nvidias,
    plugin,
    pod,
    policy,
    said,
    well,
)


def only(findings: list[Finding], rule: str) -> Finding:
    assert ids(findings) == [rule], findings
    return findings[0]


def test_nothing_is_said_of_a_cluster_that_is_well() -> None:
    assert said(**well()) == []


def test_a_cluster_without_gpus() -> None:
    assert ids(said(nodes=[{"metadata": {"name": "n"}, "status": {}}])) == ["no-gpus"]


def test_a_node_whose_plugin_has_not_registered() -> None:
    found = only(
        said(**well() | {"nodes": [node(offers=None)], "pods": [plugin()]}), "plugin-not-registered"
    )
    assert str(found.mark) == "Node gpu-1"
    assert "runs there and has not registered" in found.message
    assert found.hint.startswith("kubectl logs -n gpu-operator nvidia-device-plugin")


def test_a_node_without_a_plugin() -> None:
    world = well() | {"nodes": [node(), node("gpu-2", offers=None)]}
    found = only(said(**world), "plugin-not-registered")
    assert str(found.mark) == "Node gpu-2"
    assert "no device plugin runs on it" in found.message
    assert "kubectl get daemonset nvidia-device-plugin-daemonset" in found.hint
    alone = only(said(nodes=[node(offers=None)]), "plugin-not-registered")
    assert alone.hint.startswith("rota apply")


def test_a_plugin_that_is_not_ready_is_told_with_the_kubelets_words() -> None:
    trouble = "CrashLoopBackOff: back-off 5m0s restarting failed container"
    found = only(said(**well() | {"pods": [plugin(trouble=trouble)]}), "plugin-not-ready")
    assert "on gpu-1 is not ready: CrashLoopBackOff: back-off 5m0s" in found.message
    assert found.hint.startswith("kubectl describe pod -n gpu-operator")


def test_a_plugin_that_just_starts_is_waited_for() -> None:
    young = plugin(started="2026-11-25T14:59:30Z")
    young["status"]["containerStatuses"][0]["ready"] = False
    assert "plugin-not-ready" not in ids(said(**well() | {"pods": [young]}))


def test_two_plugins_for_one_node() -> None:
    both = well() | {"pods": [plugin(), agent()], "sets": [nvidias(), agents()]}
    found = only(said(**both), "two-plugins")
    assert "NVIDIA's plugin (gpu-operator/" in found.message
    assert "Rota's agent (rota/rota-gpu-1)" in found.message
    assert "--beside-nvidia" in found.hint
    twice = well() | {"pods": [plugin(), plugin(namespace="kube-system", owner="by-hand")]}
    assert (
        only(said(**twice), "two-plugins").hint == "kubectl delete daemonset by-hand -n kube-system"
    )


def test_an_agent_beside_nvidias_plugin_is_no_second_one() -> None:
    both = well() | {"pods": [plugin(), agent("gpu-1", "--beside-nvidia")]}
    assert said(**both) == []


@pytest.mark.parametrize(
    ("driver", "rules"),
    [
        ("550.144.03", ["driver-too-old"]), ("610.57.01", ["driver-known-bad"]),
        ("570.00", []), ("610.58", []), ("", []),
    ],
)  # fmt: skip
def test_a_driver_that_cannot_take_turns(driver: str, rules: list[str]) -> None:
    found = said(nodes=[node(driver=driver)], pods=[agent()], sets=[agents()])
    assert ids(found) == rules
    assert all(driver in one.message for one in found)


def test_a_driver_matters_only_where_turns_are_taken() -> None:
    assert said(**well() | {"nodes": [node(driver="535.1")]}) == []


def test_pods_that_hold_more_than_is_offered_after_a_shrink() -> None:
    pods = [agent(), *(pod(f"train-{n}") for n in range(4))]
    found = only(said(nodes=[node(offers=2, has=4)], pods=pods), "over-capacity")
    assert "pods hold 4 nvidia.com/gpu of the 2 that it offers: default/train-0" in found.message
    assert found.hint.startswith("kubectl delete pod -n default train-3")


def test_replicas_that_are_unhealthy() -> None:
    found = only(said(nodes=[node(offers=4, has=8)], pods=[agent()]), "replicas-unhealthy")
    assert found.message == "4 of its 8 nvidia.com/gpu are unhealthy"
    assert "kubectl logs -n rota rota-gpu-1" in found.hint


def test_a_node_that_offers_another_number_than_its_config_makes() -> None:
    found = only(
        said(**well() | {"nodes": [node(offers=1)], "pods": [plugin()]}),
        "allocatable-unlike-config",
    )
    assert (
        "offers nvidia.com/gpu: 1, and key any of gpu-operator/time-slicing-config" in found.message
    )
    assert "makes nvidia.com/gpu: 4 of its GPUs" in found.message


def test_what_labels_do_not_tell_is_not_guessed() -> None:
    assert said(**well() | {"nodes": [node(offers=1, count="")], "pods": [plugin()]}) == []
    by_uuid = config_map(SHARING + "      devices: [GPU-97d443a5-366f-5e66-8654-b68bce86e81c]\n")
    nvidias = said(**well() | {"nodes": [node(offers=1)], "maps": (by_uuid,)})
    assert "allocatable-unlike-config" in ids(nvidias)  # whose plugin shares all of them
    sets = [agents("--config-map=gpu-operator/time-slicing-config")]
    ours = said(nodes=[node(offers=1)], pods=[agent()], sets=sets, maps=(by_uuid,))
    assert "allocatable-unlike-config" not in ids(ours)


def test_an_edit_that_agents_just_follow_is_no_finding() -> None:
    follows: dict[str, Any] = {
        "nodes": [node(offers=1)], "pods": [agent()],
        "sets": [agents("--config-map=gpu-operator/time-slicing-config")],
    }  # fmt: skip
    just = (config_map(edited="2026-11-25T14:59:40Z"),)
    assert said(**follows, maps=just) == []
    assert ids(said(**follows, maps=(config_map(edited=LATER),))) == ["allocatable-unlike-config"]


def test_each_node_by_its_own_label() -> None:
    two = config_map()
    two["data"]["two"] = SHARING.replace("4", "2")
    nodes = [node(), node("gpu-2", offers=2, config="two"), node("gpu-3", offers=4, config="two")]
    pods = [plugin(name) for name in ("gpu-1", "gpu-2", "gpu-3")]
    found = only(
        said(nodes=nodes, pods=pods, policies=[policy()], sets=[nvidias()], maps=(two,)),
        "allocatable-unlike-config",
    )
    assert str(found.mark) == "Node gpu-3"
