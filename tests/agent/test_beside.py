"""Beside NVIDIA's plugin: nothing advertised, turns for its pods, restarts after checked edits."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from rota.agent.citizen import Terms
from rota.cluster.chosen import fingerprint
from rota.cluster.reasons import UNGATED
from rota.cluster.rights import used
from rota.config.load import load_text
from rota.emulation import driver
from rota.emulation.driver import Emulation
from rota.emulation.profiles import parse_emulation
from rota.kubelet.manager import PluginManager
from rota.kubelet.pod_resources import ids_in_use
from rota.replicas.plan import plan
from tests.agent.conftest import GPU, sharing
from tests.agent.world import MAP, PLUGIN, World, trainer, turns_of
from tests.cluster.fake.store import Past


class NvidiasPlugin:
    """Stands for NVIDIA's plugin and its DaemonSet: it reads the config when it starts, only then."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.manager: PluginManager | None = None
        self.gpu: Emulation | None = None
        self.starts = 0
        self._stop = world.store.listen(self._look)
        self._jobs: set[asyncio.Task[None]] = set()

    def _look(self, past: Past) -> None:
        plural, namespace, _ = past.key
        if (plural, namespace) == ("pods", PLUGIN.namespace) and past.after is None:
            self._jobs.add(asyncio.create_task(self.start()))

    async def start(self) -> None:
        """Start a pod anew."""
        await self.stop_serving()
        node = self.world.node
        self.gpu = gpu = self.gpu or driver.attach(node.folder / "run" / "gpu")
        (text,) = self.world.store.get("configmaps", *MAP)["data"].values()
        config, inventory = load_text(text, "config").config, parse_emulation("t4")
        self.manager = PluginManager(
            node.kubelet.plugin_socket.parent,
            in_use=lambda: ids_in_use(node.kubelet.pod_resources_socket),
            extra_env=gpu.environment,
        )
        await self.manager.serve(plan(config, inventory).resources, config, inventory)
        self.starts += 1
        meta = {
            "name": f"plugin-{self.starts}",
            "namespace": PLUGIN.namespace,
            "labels": {PLUGIN.label: PLUGIN.value},
        }
        ready = {"conditions": [{"type": "Ready", "status": "True"}]}
        spec = {"nodeName": "here"}
        self.world.store.create("pods", {"metadata": meta, "spec": spec, "status": ready})

    async def stop_serving(self) -> None:
        if self.manager:
            await self.manager.stop()

    async def close(self) -> None:
        self._stop()
        await asyncio.gather(*self._jobs)
        await self.stop_serving()
        if self.gpu:
            self.gpu.close()


@pytest.fixture
async def plugin(world: World) -> AsyncIterator[NvidiasPlugin]:
    plugin = NvidiasPlugin(world)
    yield plugin
    await plugin.close()


async def test_beside_nvidias_plugin_it_advertises_nothing_and_runs_the_turns(
    world: World, plugin: NvidiasPlugin
) -> None:
    world.config(any=sharing(4))
    agent = world.start(Terms(MAP, beside=PLUGIN, labels="own"))
    await world.until(lambda: agent.snapshot()["ready"])
    assert world.node.kubelet.allocatable().get(GPU, 0) == 0
    await plugin.start()
    await world.node.until_allocatable(4)
    world.pod(trainer("large", 3))
    world.pod(trainer("small"))
    used = await turns_of(world, 8)
    assert 0.55 < used["large"] / sum(used.values()) < 0.9
    assert world.labels == {
        "zone": "a",
        "rota.dev/turns": "exclusive",
        "rota.dev/quantum": "100ms",
        "rota.dev/config": fingerprint(sharing(4)),
    }


async def test_beside_nvidias_plugin_a_checked_edit_restarts_it_and_a_bad_one_does_not(
    world: World, plugin: NvidiasPlugin
) -> None:
    world.config(any=sharing(4))
    agent = world.start(Terms(MAP, beside=PLUGIN))
    await world.until(lambda: agent.snapshot()["ready"])
    await plugin.start()
    await world.node.until_allocatable(4)
    world.config(any=sharing(1))
    (message,) = await world.until_told("ConfigRefused", "Node")
    assert "NVIDIA's plugin is not restarted" in message
    assert plugin.starts == 1
    world.config(any=sharing(6))
    await world.node.until_allocatable(6)
    await world.until(lambda: world.messages("PluginRestarted", "Node"))
    lease = ("leases", PLUGIN.namespace, "rota-plugin-restart")
    await world.until(lambda: world.store.get(*lease)["spec"]["holderIdentity"] == "")
    assert plugin.starts == 2


async def test_every_right_is_used_and_none_is_missing(world: World, plugin: NvidiasPlugin) -> None:
    """The server enforces the rules that the manifests would give: what worked, was allowed."""
    world.config(any=sharing(4))
    agent = world.start(Terms(MAP, beside=PLUGIN))
    await world.until(lambda: agent.snapshot()["ready"])
    await plugin.start()
    await world.until(lambda: len(agent.citizen.pods))
    world.config(any=sharing(6))
    await world.node.until_allocatable(6)
    node = agent.citizen.node_ref
    often = replace(UNGATED, quiet=0.0)
    agent.citizen.tell(node, often, "the same")
    await world.until(lambda: world.cluster.events("Ungated"))
    agent.citizen.tell(node, often, "the same")
    await world.until(lambda: world.cluster.count("patch", "events"))
    await world.until(lambda: world.cluster.count("update", "leases") >= 1)
    world.store.delete(*("leases", PLUGIN.namespace, "rota-plugin-restart"))
    world.config(any=sharing(3))
    await world.node.until_allocatable(3)
    asked = {(one.verb, one.plural) for one in world.cluster.asked}
    rights = {(verb, right.kind.plural) for right in used(beside=True) for verb in right.verbs}
    assert asked == rights
    assert agent.snapshot()["cluster"]["troubles"] == {}
