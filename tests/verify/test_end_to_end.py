"""The proof of a node that is real but for its GPU: agent, embedded kubelet, pods that are processes."""

from __future__ import annotations

import asyncio
import shutil
import sys
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from rota.agent.citizen import Terms
from rota.cluster.kube import KubeApi
from rota.kubelet.embedded import EmbeddedKubelet
from rota.verify.prove import Order, prove
from rota.verify.smoke import Pace
from tests.agent.conftest import GPU, Node, sharing
from tests.agent.world import MAP, World
from tests.cluster.fake import FakeCluster
from tests.cluster.fake.controllers import Controllers, Embedded
from tests.doctor.build import agents

PACE = Pace(run=60.0, wait=20.0, gone=30.0, look=0.1)


@pytest.fixture
async def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[World]:
    """A node whose pods find `rota` where an image would have it."""
    path = Path(sys.executable).parent
    monkeypatch.setenv("PATH", f"{path}:/usr/bin:/bin")
    folder = Path(tempfile.mkdtemp(prefix="rota", dir="/tmp"))
    kubelet = EmbeddedKubelet(folder / "node")
    await kubelet.start()
    cluster = FakeCluster()
    await cluster.start()
    monkeypatch.setenv("KUBECONFIG", str(cluster.kubeconfig(tmp_path / "kubeconfig")))
    cluster.store.create("nodes", {"metadata": {"name": "here"}})
    cluster.store.create("daemonsets", agents("--config-map=rota/config"))
    living = asyncio.create_task(Controllers(cluster, Embedded(kubelet, "here")).run())
    made = World(Node(folder, kubelet), cluster)
    yield made
    living.cancel()
    await asyncio.gather(living, return_exceptions=True)
    if made.node.task and not made.node.task.done():
        await made.node.stop()
    await kubelet.stop()
    await cluster.stop()
    shutil.rmtree(folder, ignore_errors=True)


async def test_four_pods_on_one_gpu_each_with_its_share_and_a_fifth_that_waits(
    world: World,
) -> None:
    world.config(any=sharing(4))
    world.start(Terms(config_map=MAP))
    await world.node.until_allocatable(4)
    await world.until(lambda: world.labels.get(f"{GPU}.replicas") == "4")
    api = KubeApi.connect()
    told: list[str] = []
    verdict = await prove(api, Order("default", pace=PACE), told.append)
    await api.close()
    (proof,) = verdict.proofs
    assert verdict.ok, (proof.faults, told)
    assert (proof.target.should, proof.target.offers, len(proof.ran)) == (4, 4, 4)
    assert f"1 Insufficient {GPU}" in proof.waited
    devices = [device for sight in proof.ran.values() for device in sight.devices]
    assert len({device.uuid for device in devices}) == 1
    assert all(sight.emulated for sight in proof.ran.values())
    assert all(one.room is not None and one.room <= one.memory // 4 for one in devices), devices
    assert not list(world.store.all("pods")) + list(world.store.all("deployments"))
    await world.until(lambda: world.node.kubelet.pods() == ())
    assert proof.plain()["pods"][0]["replicas"][0].startswith("GPU-")
