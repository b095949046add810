"""The agent's config, its labels and its endurance, in a cluster."""

from __future__ import annotations

import pytest

from rota.agent.citizen import Terms
from rota.cluster.chosen import fingerprint
from tests.agent.conftest import GPU, sharing
from tests.agent.world import MAP, World, trainer, turns_of


async def test_an_edit_of_the_configmap_is_served_without_a_restart(world: World) -> None:
    world.config(any=sharing(4))
    agent = world.start()
    await world.node.until_allocatable(4)
    world.config(any=sharing(6))
    await world.node.until_allocatable(6)
    assert agent.snapshot()["config"]["generation"] == 2
    await world.until(lambda: world.messages("ConfigServed", "Node"))
    assert world.messages("ConfigServed", "Node") == [
        "rota/config[any] is served: nvidia.com/gpu: 6"
    ]


async def test_a_bad_edit_keeps_the_last_good_config_and_says_which_and_why(world: World) -> None:
    world.config(any=sharing(4))
    agent = world.start()
    await world.node.until_allocatable(4)
    world.config(any=sharing(1))
    for kind in ("Node", "ConfigMap"):
        (message,) = await world.until_told("ConfigRefused", kind)
        assert "ConfigMap rota/config[any]:6:" in message
        assert "replicas must be >= 2" in message
        assert "last good config stays" in message
    assert world.node.kubelet.allocatable()[GPU] == 4
    assert agent.snapshot()["config"]["refused"] == 1
    world.config(any=sharing(3))
    await world.node.until_allocatable(3)


async def test_a_label_chooses_another_config_for_this_node(world: World) -> None:
    world.config(few=sharing(2), many=sharing(8))
    world.start(config_key="few", terms=Terms(MAP, "few"))
    await world.node.until_allocatable(2)
    world.label(config="many")
    await world.node.until_allocatable(8)
    world.label(config="mony")
    (message,) = await world.until(lambda: world.messages("ConfigRefused", "Node"))
    assert "names the key `mony`, which is not there" in message
    assert world.node.kubelet.allocatable()[GPU] == 8
    world.label(config=None)
    await world.node.until_allocatable(2)


async def test_a_node_without_a_config_waits_for_one_and_advertises_nothing(world: World) -> None:
    world.config(a=sharing(2), b=sharing(3))
    agent = world.start()
    (message,) = await world.until(lambda: world.messages("ConfigRefused", "Node"))
    assert "several configs (a, b)" in message
    assert world.node.kubelet.allocatable().get(GPU, 0) == 0
    assert not agent.snapshot()["ready"]
    world.config(a=sharing(2))
    await world.node.until_allocatable(2)


async def test_the_node_gets_its_labels_and_keeps_those_of_others(world: World) -> None:
    world.store.merge(
        "nodes", "", "here", {"metadata": {"labels": {"nvidia.com/gpu.family": "mine"}}}, "admin"
    )
    world.config(any=sharing(4))
    world.start()
    await world.until(lambda: world.labels.get("nvidia.com/gpu.replicas") == "4")
    assert world.labels["zone"] == "a"
    assert world.labels["nvidia.com/gpu.family"] == "mine"
    assert world.labels["nvidia.com/gpu.product"] == "Tesla-T4-SHARED"
    assert world.labels["nvidia.com/gpu.sharing-strategy"] == "time-slicing"
    assert world.labels["rota.dev/quantum"] == "100ms"
    assert world.labels["rota.dev/config"] == fingerprint(sharing(4))
    world.config(any=sharing(4, "rota: {turns: {mode: driver}}\n"))
    await world.until(lambda: world.labels.get("rota.dev/turns") == "driver")
    assert "rota.dev/quantum" not in world.labels
    world.label(**{"nvidia.com/gpu.replicas": "99"})
    await world.until(
        lambda: "labels of somebody else are left alone" in world.node.lines.getvalue()
    )
    assert world.labels["nvidia.com/gpu.replicas"] == "99"


async def test_an_api_server_that_is_away_takes_nothing_back(world: World) -> None:
    world.config(any=sharing(4))
    agent = world.start()
    await world.node.until_allocatable(4)
    world.pod(trainer("one"), weight="2")
    world.pod(trainer("two"))
    await turns_of(world, 4)
    await world.cluster.stop()
    await world.until(lambda: agent.snapshot()["cluster"]["troubles"])
    world.config(any=sharing(5))
    await turns_of(world, 6)
    assert world.node.kubelet.allocatable()[GPU] == 4
    pod = agent.citizen.pod_of("default/one/main")
    assert pod
    assert pod.wish.weight == 2
    await world.cluster.start()
    await world.node.until_allocatable(5)
    await world.until(lambda: not agent.snapshot()["cluster"]["troubles"])


async def test_an_agent_that_starts_while_it_is_away_serves_the_last_good_config(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.config(any=sharing(4))
    world.start()
    await world.node.until_allocatable(4)
    await world.node.stop()
    await world.cluster.stop()
    world.config(any=sharing(2))
    world.start()
    await world.node.until_allocatable(4)
    assert world.node.logged("serving the last good config")
    await world.cluster.start()
    await world.node.until_allocatable(2)


async def test_an_agent_that_starts_on_a_bad_config_serves_the_last_good_one(world: World) -> None:
    world.config(any=sharing(4))
    world.start()
    await world.node.until_allocatable(4)
    await world.node.stop()
    world.config(any="version: v9")
    agent = world.start()
    await world.node.until_allocatable(4)
    assert await world.until(lambda: world.messages("ConfigRefused", "ConfigMap"))
    assert "version" in agent.snapshot()["config"]["refused_now"]
    assert world.messages("ConfigServed", "Node") == []
    world.config(any=sharing(4))
    await world.until(lambda: agent.snapshot()["config"]["refused_now"] == "")
    await world.until_told("ConfigServed", "Node")


async def test_rights_that_are_missing_cost_only_what_they_are_for(world: World) -> None:
    optional = {("list", "pods"), ("list", "nodes"), ("patch", "nodes"), ("create", "events")}
    world.cluster.forbidden = optional
    world.config(any=sharing(4))
    agent = world.start()
    await world.node.until_allocatable(4)
    troubles = await world.until(
        lambda: len(found := agent.snapshot()["cluster"]["troubles"]) == 3 and found
    )
    assert all("forbidden" in why for why in troubles.values())
    world.config(any=sharing(1))
    await world.until(lambda: "no Events are written" in agent.snapshot()["cluster"]["troubles"])
    assert len(world.node.logged("no Events are written")) == 1
    world.config(any=sharing(5))
    await world.node.until_allocatable(5)
    world.cluster.forbidden = set()
    await world.until(lambda: not agent.snapshot()["cluster"]["troubles"])
    assert await world.until(lambda: world.messages("ConfigRefused", "Node"))


async def test_a_slow_api_server_slows_no_pod(world: World) -> None:
    world.config(any=sharing(4))
    world.cluster.delay = 0.5
    world.start()
    await world.node.until_allocatable(4)
    world.pod(trainer("one"))
    world.pod(trainer("two"))
    await turns_of(world, 6)
    world.config(any=sharing(6))
    await world.node.until_allocatable(6)


async def test_events_do_not_flood(world: World) -> None:
    world.config(any=sharing(4))
    world.start()
    await world.node.until_allocatable(4)
    for number in range(50):
        world.config(any=sharing(1) + f"# {number % 2}\n")
    await world.until(lambda: world.messages("ConfigRefused", "Node"))
    world.config(any=sharing(5))
    await world.node.until_allocatable(5)
    refused = world.cluster.events("ConfigRefused")
    assert len(refused) <= 4
    assert world.cluster.count("create", "events") + world.cluster.count("patch", "events") < 110


async def test_a_config_from_a_file_goes_with_the_rest_of_the_cluster(world: World) -> None:
    world.node.config.write_text(sharing(4))
    world.start(Terms(), config=world.node.config)
    await world.node.until_allocatable(4)
    await world.until(lambda: world.labels.get("nvidia.com/gpu.replicas") == "4")
    world.node.config.write_text(sharing(1))
    (message,) = await world.until_told("ConfigRefused", "Node")
    assert "config.yaml:6:" in message
    assert world.messages("ConfigRefused", "ConfigMap") == []
    world.node.config.write_text(sharing(6))
    await world.until_told("ConfigServed", "Node")
    assert world.node.kubelet.allocatable()[GPU] == 6
