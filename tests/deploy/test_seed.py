"""The seed's steps, from a cluster without anything to a cluster without anything, with a real agent.

A Kubernetes API over HTTP, an embedded kubelet, `rota` as a person types it, and the agent and the
gatekeeper as the DaemonSet starts them; the GPU is emulated.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import sys
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.cluster.fake import FakeCluster
from tests.deploy.node import Node

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "03-cluster"
GPU = "nvidia.com/gpu"


@pytest.fixture
async def node() -> AsyncIterator[Node]:
    folder = Path(tempfile.mkdtemp(prefix="rota", dir="/tmp"))
    cluster = FakeCluster()
    await cluster.start()
    cluster.store.namespaced = True
    cluster.store.create("namespaces", {"metadata": {"name": "team"}}, "admin")
    cluster.store.create("nodes", {"metadata": {"name": "gpu-1", "labels": {"zone": "a"}}}, "admin")
    node = Node(cluster, folder, cluster.kubeconfig(folder / "kubeconfig"))
    await node.kubelet.start()
    running = asyncio.create_task(node.run())
    try:
        yield node
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await node.close()
        await cluster.stop()
        shutil.rmtree(folder, ignore_errors=True)


async def rota(node: Node, *args: str, code: int = 0) -> str:
    """Type a command; what it says."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "rota", *args, env={**os.environ, **node.environ},
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    said = (await process.communicate())[0].decode()
    logs = "\n".join(path.read_text() for path in node.folder.glob("*.log"))
    assert process.returncode == code, said + logs
    return said


def allocatable(node: Node) -> int:
    """`kubectl get nodes -o json`, as the seed reads it."""
    status = node.store.get("nodes", "", "gpu-1")["status"]
    return int(status["allocatable"].get(GPU, 0))


async def test_the_seeds_steps_from_nothing_to_four_pods_on_one_gpu_and_back(node: Node) -> None:
    before = {
        key: json.dumps(thing) for key, thing in node.store.objects.items() if key[0] != "nodes"
    }

    # apply the configuration: every node serves it when the command ends
    said = await rota(node, "apply", str(EXAMPLE / "1-config.yaml"), "--image", "rota:test")
    assert "ok   all nodes" in said
    assert f"{GPU}: 4" in said
    # verify: four GPUs on the node, and the agent's log says why
    assert allocatable(node) == 4
    (served,) = [entry for entry in node.log("agent") if entry["event"] == "config served"]
    assert served["replicas"] == {GPU: 4}
    pids = {name: process.pid for name, process in node.containers.items()}

    # use it: a Deployment of four runs, and a pod more waits
    names = node.deploy(EXAMPLE / "4-gpu-test.yaml", "team")
    await node.until(lambda: [p.phase for p in node.kubelet.pods()] == ["Running"] * 4)
    await node.until(lambda: json.loads(node.ask("/api/v1/status"))["ready"])

    # an edit needs no restart: nobody is started anew, and no pod is hurt
    edited = node.folder / "edited.yaml"
    edited.write_text((EXAMPLE / "1-config.yaml").read_text().replace("replicas: 4", "replicas: 6"))
    said = await rota(node, "apply", str(edited))
    assert "set  ConfigMap gpu-operator-resources/time-slicing-config" in said
    assert said.count("same ") == 8
    assert allocatable(node) == 6
    assert {name: process.pid for name, process in node.containers.items()} == pids
    assert [p.phase for p in node.kubelet.pods()] == ["Running"] * 4

    # monitoring and metrics: who holds what, in the page's figures and for Prometheus
    await node.until(lambda: all(name in node.ask("/api/v1/state") for name in names))
    await node.until(lambda: all(f'pod="{name}"' in node.ask("/metrics") for name in names))

    # rollback is refused while they run, names them, and then leaves nothing behind
    refused = await rota(node, "rollback", code=1)
    assert "4 pods hold replicas" in refused
    assert all(name in refused for name in names)
    for name in names:
        await node.kubelet.delete_pod("team", name)
        node.store.delete("pods", "team", name)
    assert "it is as it was" in await rota(node, "rollback")
    assert allocatable(node) == 0
    after = {key: json.dumps(thing) for key, thing in node.store.objects.items()
             if key[0] not in ("nodes", "events")}  # fmt: skip
    assert after == before
    assert node.store.get("nodes", "", "gpu-1")["metadata"]["labels"] == {"zone": "a"}
