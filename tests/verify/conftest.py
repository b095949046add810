"""A cluster whose nodes live on paper, and a client of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from rota.cluster.kube import KubeApi
from rota.verify.prove import Order, Verdict, prove
from rota.verify.sight import Seen, Sight
from rota.verify.smoke import Pace
from tests.cluster.fake import FakeCluster
from tests.cluster.fake.controllers import Controllers, Paper
from tests.doctor.build import GPU, SHARING, agents, config_map, node

QUICK = Pace(run=30.0, wait=20.0, gone=30.0, look=0.02)
GIB = 1 << 30


def says(pod: Any, number: int) -> str:
    """A container that sees one T4 and its fourth part."""
    return Sight("GPU-1", (f"GPU-1::{number}",), (Seen("GPU-1", "T4", 16 * GIB, 3 * GIB),)).line()


class Stage:
    """The cluster and whoever asks it."""

    def __init__(self, cluster: FakeCluster, api: KubeApi) -> None:
        self.cluster, self.api, self.store = cluster, api, cluster.store
        self.paper = Paper("gpu-1", {GPU: 4}, says)
        self.controllers = Controllers(cluster, self.paper)
        self.told: list[str] = []
        self._tasks: list[asyncio.Task[None]] = []

    def fill(self) -> None:
        """The node gpu-1, Rota's agents and their ConfigMap."""
        made = node()
        made["metadata"]["labels"] |= {"rota.dev/turns": "exclusive", f"{GPU}.replicas": "4"}
        self.store.create("nodes", made)
        place = "gpu-operator/time-slicing-config"
        self.store.create("daemonsets", agents("--config-map", place))
        self.store.create("configmaps", config_map(SHARING))
        self._tasks.append(asyncio.create_task(self.controllers.run()))

    async def prove(self, **changes: Any) -> Verdict:
        given: dict[str, Any] = {"namespace": "lab", "pace": QUICK} | changes
        order = Order(**given)
        return await prove(self.api, order, self.told.append)

    @property
    def left(self) -> list[str]:
        """Deployments and pods that a proof made."""
        things = [*self.store.all("deployments", "lab"), *self.store.all("pods", "lab")]
        return [thing["metadata"]["name"] for thing in things]

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    cluster = FakeCluster()
    await cluster.start()
    api = KubeApi.connect(str(cluster.kubeconfig(tmp_path / "kubeconfig")))
    stage = Stage(cluster, api)
    stage.fill()
    yield stage
    await stage.close()
    await api.close()
    await cluster.stop()
