"""The seed's steps, from a cluster without anything to a cluster without anything, with a real agent.

A Kubernetes API over HTTP, an embedded kubelet, what `rota apply` and `rota rollback` do, and the agent
and the gatekeeper as the DaemonSet starts them; the GPU is emulated.
"""

from __future__ import annotations

import asyncio
import json
import shutil
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from rota.cluster.kube import KubeApi
from rota.deploy.apply import Request, apply
from rota.deploy.holders import InUse
from rota.deploy.options import Options
from rota.deploy.rollback import Rollback
from rota.deploy.source import read_source
from rota.doctor.look import look
from rota.errors import RotaError
from rota.verify.prove import Order, prove
from tests.cluster.fake import FakeCluster
from tests.deploy.node import Node, can_confine

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "03-cluster"
GPU = "nvidia.com/gpu"
DAC_OVERRIDE, SYS_PTRACE = 1 << 1, 1 << 19


@pytest.fixture
async def node() -> AsyncIterator[Node]:
    folder = Path(tempfile.mkdtemp(prefix="rota", dir="/tmp"))
    cluster = FakeCluster()
    await cluster.start()
    cluster.store.namespaced = True
    cluster.store.create("namespaces", {"metadata": {"name": "team"}}, "admin")
    cluster.store.create("nodes", {"metadata": {"name": "gpu-1", "labels": {"zone": "a"}}}, "admin")
    kubeconfig = cluster.kubeconfig(folder / "kubeconfig")
    node = Node(cluster, folder, kubeconfig, KubeApi.connect(str(kubeconfig)))
    await node.kubelet.start()
    running = asyncio.create_task(node.run())
    try:
        yield node
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await node.close()
        await node.api.close()
        await cluster.stop()
        shutil.rmtree(folder, ignore_errors=True)


async def apply_config(node: Node, config: Path, image: str = "") -> str:
    """`rota apply CONFIG`; what it says."""
    said: list[str] = []
    options = Options(namespace="", image=image, config_key="")
    request = Request(read_source(str(config), ""), options, timeout=60.0, first=0.1)
    try:
        await apply(node.api, request, lambda *words: said.append(" ".join(words).strip()))
    except RotaError as error:
        logs = "\n".join(path.read_text() for path in node.folder.glob("*.log"))
        raise AssertionError(f"{error}\n{logs}") from error
    return "\n".join(said)


def effective(pid: int) -> int:
    """The capabilities of a process."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("CapEff")).split()[1], 16)


def said_nothing(*_: str) -> None:
    """Progress that nobody watches."""


def allocatable(node: Node) -> int:
    """`kubectl get nodes -o json`, as the seed reads it."""
    status = node.store.get("nodes", "", "gpu-1")["status"]
    return int(status["allocatable"].get(GPU, 0))


async def test_the_seeds_steps_from_nothing_to_four_pods_on_one_gpu_and_back(node: Node) -> None:
    before = {
        key: json.dumps(thing) for key, thing in node.store.objects.items() if key[0] != "nodes"
    }

    # apply the configuration: every node serves it when the command ends
    said = await apply_config(node, EXAMPLE / "1-config.yaml", "rota:test")
    assert "ok all nodes" in said
    assert f"{GPU}: 4" in said
    # verify: four GPUs on the node, and the agent's log says why
    assert allocatable(node) == 4
    (served,) = [entry for entry in node.log("agent") if entry["event"] == "config served"]
    assert served["replicas"] == {GPU: 4}
    # and others than the one who applied it say the same
    proven = await prove(node.api, Order("team", smoke=False), said_nothing)
    assert [(p.target.should, p.target.offers, p.ok) for p in proven.proofs] == [(4, 4, True)]
    assert [str(finding) for finding in (await look(node.api)).findings] == []
    pids = {name: process.pid for name, process in node.containers.items()}
    if can_confine():
        assert {effective(pid) for pid in pids.values()} == {SYS_PTRACE | DAC_OVERRIDE}

    # use it: a Deployment of four runs, and a pod more waits
    names = node.deploy(EXAMPLE / "4-gpu-test.yaml", "team")
    await node.until(lambda: [p.phase for p in node.kubelet.pods()] == ["Running"] * 4)
    await node.until(lambda: json.loads(node.ask("/api/v1/status"))["ready"])

    # an edit needs no restart: nobody is started anew, and no pod is hurt
    edited = node.folder / "edited.yaml"
    edited.write_text((EXAMPLE / "1-config.yaml").read_text().replace("replicas: 4", "replicas: 6"))
    said = await apply_config(node, edited)
    assert "set ConfigMap gpu-operator-resources/time-slicing-config" in said
    assert said.count("same ") == 8
    assert allocatable(node) == 6
    assert {name: process.pid for name, process in node.containers.items()} == pids
    assert [p.phase for p in node.kubelet.pods()] == ["Running"] * 4

    # monitoring and metrics: who holds what, in the page's figures and for Prometheus
    await node.until(lambda: all(name in node.ask("/api/v1/state") for name in names))
    await node.until(lambda: all(f'pod="{name}"' in node.ask("/metrics") for name in names))

    # rollback is refused while they run, names them, and then leaves nothing behind
    rollback = Rollback(node.api, said_nothing)
    with pytest.raises(InUse, match="4 pods hold replicas") as refused:
        await rollback.run()
    assert all(name in refused.value.what for name in names)
    await asyncio.gather(*(node.kubelet.delete_pod("team", name, grace=0.0) for name in names))
    for name in names:
        node.store.delete("pods", "team", name)
    assert await rollback.run()
    assert allocatable(node) == 0
    after = {key: json.dumps(thing) for key, thing in node.store.objects.items()
             if key[0] not in ("nodes", "events")}  # fmt: skip
    assert after == before
    assert node.store.get("nodes", "", "gpu-1")["metadata"]["labels"] == {"zone": "a"}
