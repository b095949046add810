"""What pods wish, and what becomes of those that are deleted or did not ask."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from rota.cluster.annotations import PodWish
from rota.cluster.rights import manifests
from rota.emulation import driver
from rota.gatekeeper.client import ask
from rota.kubelet.embedded import PodSpec
from tests.agent.conftest import sharing
from tests.agent.world import World, clients, trainer, turns_of


async def limit_of(world: World, client: str) -> int:
    """What the gatekeeper has for that client's limit of memory, in bytes."""
    async with asyncio.timeout(20):
        while True:
            state = await asyncio.to_thread(ask, world.node.folder / "run", {"op": "state"})
            for memory in state["memory"].values():
                if client in memory["clients"]:
                    return int(memory["clients"][client]["limit"])
            await asyncio.sleep(0.05)


async def test_an_annotation_weighs_in_the_measured_shares(world: World) -> None:
    world.config(any=sharing(4))
    world.start()
    await world.node.until_allocatable(4)
    world.pod(trainer("heavy"), weight="3", memory="2Gi")
    world.pod(trainer("light"))
    used = await turns_of(world, 12)
    assert 0.6 < used["heavy"] / sum(used.values()) < 0.9
    assert await limit_of(world, "default/heavy/main") == 2 << 30


async def test_a_bad_annotation_is_told_on_the_pod_and_counts_as_the_default(world: World) -> None:
    world.config(any=sharing(4))
    agent = world.start()
    await world.node.until_allocatable(4)
    world.pod(trainer("typo"), weight="heavy", clas="batch")
    (message,) = await world.until(lambda: world.messages("BadAnnotation", "Pod"))
    assert "rota.dev/weight: 'heavy' is not taken" in message
    assert "did you mean rota.dev/class?" in message
    pod = agent.citizen.pod_of("default/typo/main")
    assert pod
    assert pod.wish == PodWish()


async def test_a_pod_that_is_deleted_has_its_gates_opened_at_once(world: World) -> None:
    world.config(any=sharing(4))
    world.start()
    await world.node.until_allocatable(4)
    world.pod(trainer("goes"))
    world.pod(trainer("stays"))
    await turns_of(world, 4)
    world.delete_pod("goes")
    looks = 0
    async with asyncio.timeout(20):
        while looks < 12:  # six quanta or so; in turns it would be closed for half of them
            gate = (await clients(world.node))["goes"]["gate"]
            looks = looks + 1 if gate == "open" else 0
            await asyncio.sleep(0.05)


async def test_a_pod_that_took_a_gpu_without_asking_is_shown_and_told(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rota.clients.sightings.YOUNG", 0.5)
    world.config(any=sharing(4))
    agent = world.start()
    await world.node.until_allocatable(4)
    with driver.attach(world.node.folder / "run" / "gpu") as gpu:
        sly = {**gpu.environment, "NVIDIA_VISIBLE_DEVICES": "all"}
    world.pod(trainer("sly", 0, sly))
    shown = await world.until(lambda: agent.snapshot()["unmanaged"])
    assert shown[0]["pod"] == "sly"
    (message,) = await world.until(lambda: world.messages("UnmanagedGpuUse", "Pod"))
    assert "never gated" in message
    assert "NVIDIA_VISIBLE_DEVICES" in message


async def test_the_worst_offender_is_evicted_before_the_gpu_is_full(world: World) -> None:
    evict = "rota: {memory: {enforce: report, evict: true}}\n"
    world.config(any=sharing(4) + evict)
    world.cluster.allow_only(manifests("rota", config_name="config", evict=True))
    world.start()
    await world.node.until_allocatable(4)
    world.pod(trainer("well"))
    world.pod(hog("hog"))
    (message,) = await world.until_told("EvictedForGpuMemory", "Pod")
    assert "most beyond its limit" in message
    ending = {pod["metadata"]["name"] for pod in world.store.all("pods")
              if "deletionTimestamp" in pod["metadata"]}  # fmt: skip
    assert ending == {"hog"}


def hog(name: str) -> PodSpec:
    """A pod that takes nearly all memory of its GPU."""
    spec = trainer(name)
    command = (*spec.containers[0].command[:3], "notebook", "--memory", "14700Mi")
    return replace(spec, containers=(replace(spec.containers[0], command=command),))
