"""How soon a node follows its cluster: from an edit to allocatable, from a deletion to an open gate."""

from __future__ import annotations

import asyncio
import sys
import time
from pathlib import Path

from rota.gatekeeper.client import ask
from rota.kubelet.embedded import EmbeddedKubelet, PodSpec
from rota.kubelet.embedded.spec import ContainerSpec
from tests.cluster.fake import FakeCluster

GPU = "nvidia.com/gpu"
PATIENCE = 60.0


def config(replicas: int) -> str:
    """A config that makes so many replicas."""
    entry = f"{{name: {GPU}, replicas: {replicas}}}"
    return f"version: v1\nsharing: {{timeSlicing: {{resources: [{entry}]}}}}\n"


async def edits(cluster: FakeCluster, kubelet: EmbeddedKubelet, count: int) -> list[float]:
    """Seconds from the ConfigMap's new version until the kubelet's allocatable is another."""
    found = []
    for number in range(count):
        wanted = 4 if number == count - 1 else 5 + number % 4
        before = cluster.store.get("configmaps", "rota", "config")
        begun = time.perf_counter()
        edit = {**before, "data": {"any": config(wanted)}}
        cluster.store.replace("configmaps", "rota", "config", edit, "kubectl")
        async with asyncio.timeout(PATIENCE):
            while kubelet.allocatable().get(GPU) != wanted:  # noqa: ASYNC110 - it is timed
                await asyncio.sleep(0.001)
        found.append(time.perf_counter() - begun)
    return found


async def deletions(
    cluster: FakeCluster, kubelet: EmbeddedKubelet, run: Path, count: int
) -> list[float]:
    """Seconds from the mark on a pod whose gate is closed until the gate is open."""
    _add(cluster, kubelet, "stays")
    found = []
    for number in range(count):
        name = f"goes-{number}"
        _add(cluster, kubelet, name)
        await _until_gate(run, name, "closed")
        mark = {"metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z"}}
        begun = time.perf_counter()
        cluster.store.merge("pods", "default", name, mark, "kubectl")
        await _until_gate(run, name, "open")
        found.append(time.perf_counter() - begun)
        await _remove(cluster, kubelet, name)
    await _remove(cluster, kubelet, "stays")
    return found


def _add(cluster: FakeCluster, kubelet: EmbeddedKubelet, name: str) -> None:
    meta = {"namespace": "default", "name": name}
    cluster.store.create("pods", {"metadata": meta, "spec": {"nodeName": "here"}})
    command = (sys.executable, "-m", "rota.emulation.workloads", "trainer", "--kernel", "10ms")
    container = ContainerSpec("main", command, limits={GPU: 1})
    spec = PodSpec(name, (container,), restart_policy="Never", termination_grace_seconds=1)
    kubelet.add_pod(spec)


async def _remove(cluster: FakeCluster, kubelet: EmbeddedKubelet, name: str) -> None:
    await kubelet.delete_pod("default", name)
    cluster.store.delete("pods", "default", name)


async def _until_gate(run: Path, name: str, wanted: str) -> None:
    async with asyncio.timeout(PATIENCE):
        while True:
            state = await asyncio.to_thread(ask, run, {"op": "state"})
            client = state["clients"].get(f"default/{name}/main", {})
            if client.get("gate") == wanted:
                return
            await asyncio.sleep(0.001)
