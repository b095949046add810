"""A whole node for the agent's tests: embedded kubelet, agent, emulated GPU, all of it real."""

from __future__ import annotations

import asyncio
import io
import json
import shutil
import tempfile
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from rota.agent.logs import make_logger
from rota.agent.node import NodeAgent
from rota.agent.settings import Settings
from rota.cluster.rights import manifests
from rota.kubelet.embedded import EmbeddedKubelet, PodSpec
from rota.kubelet.embedded.spec import ContainerSpec
from tests.cluster.fake import FakeCluster

if TYPE_CHECKING:
    from tests.agent.world import World

PATIENCE = 20.0
GPU = "nvidia.com/gpu"


def sharing(replicas: int, more: str = "") -> str:
    """A time-slicing config."""
    return (
        "version: v1\nsharing:\n  timeSlicing:\n    resources:\n"
        f"    - name: {GPU}\n      replicas: {replicas}\n{more}"
    )


def sleeper(name: str, count: int = 1, resource: str = GPU) -> PodSpec:
    """A pod that holds replicas and does nothing."""
    container = ContainerSpec("main", ("sleep", "600"), limits={resource: count})
    return PodSpec(name, (container,), restart_policy="Never", termination_grace_seconds=1)


@dataclass
class Node:
    """One node with its agent."""

    folder: Path
    kubelet: EmbeddedKubelet
    lines: io.StringIO = field(default_factory=io.StringIO)
    agent: NodeAgent | None = None
    task: asyncio.Task[None] | None = None

    @property
    def config(self) -> Path:
        return self.folder / "config.yaml"

    def settings(self, **changes: Any) -> Settings:
        values: dict[str, Any] = {
            "config": self.config,
            "kubelet_dir": self.kubelet.plugin_socket.parent,
            "cdi_dir": self.folder / "cdi",
            "run_dir": self.folder / "run",
            "node": "here",
            "emulate": "t4",
        }
        return Settings(**(values | changes))

    def start(self, text: str | None = None, **changes: Any) -> NodeAgent:
        if text is not None:
            self.config.write_text(text)
        self.agent = NodeAgent(self.settings(**changes), make_logger("json", "debug", self.lines))
        self.task = asyncio.create_task(self.agent.run())
        return self.agent

    async def stop(self) -> None:
        if self.agent and self.task:
            self.agent.stop()
            await asyncio.wait_for(self.task, PATIENCE)

    async def until(self, true: Callable[[], Any]) -> Any:
        """Wait for something true; whoever failed meanwhile says so."""

        def look() -> Any:
            if self.task and self.task.done() and self.task.exception():
                raise AssertionError(f"the agent ended: {self.task.exception()}")
            return true()

        return await self.kubelet.wait_until(look, PATIENCE)

    async def until_allocatable(self, count: int, resource: str = GPU) -> None:
        await self.until(lambda: self.kubelet.allocatable().get(resource, 0) == count)

    def logged(self, event: str) -> list[dict[str, Any]]:
        lines = self.lines.getvalue().splitlines()
        return [entry for line in lines if (entry := json.loads(line))["event"] == event]


@pytest.fixture
async def node() -> AsyncIterator[Node]:
    folder = Path(tempfile.mkdtemp(prefix="rota"))
    kubelet = EmbeddedKubelet(folder / "node")
    await kubelet.start()
    node = Node(folder, kubelet)
    try:
        yield node
    finally:
        if node.task and not node.task.done():
            await node.stop()
        await kubelet.stop()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
async def world(
    node: Node, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[World]:
    """That node in a cluster whose API server enforces the rights of our manifests."""
    from tests.agent.world import PLUGIN, World

    monkeypatch.setattr("rota.agent.observer.LOOK", 0.1)
    cluster = FakeCluster()
    await cluster.start()
    cluster.allow_only(manifests("rota", config_name="config", plugin_namespace=PLUGIN.namespace))
    cluster.store.create("nodes", {"metadata": {"name": "here", "labels": {"zone": "a"}}})
    monkeypatch.setenv("KUBECONFIG", str(cluster.kubeconfig(tmp_path / "kubeconfig")))
    yield World(node, cluster)
    if node.task and not node.task.done():
        await node.stop()
    await cluster.stop()
