"""An API server for each test, and a client of it."""

from __future__ import annotations

import asyncio
import io
import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from rota.agent.logs import make_logger
from rota.cluster.kube import KubeApi
from rota.cluster.pace import Pace
from rota.cluster.troubles import Troubles
from tests.cluster.fake import FakeCluster

PATIENCE = 20.0


class Log:
    """A log that can be read."""

    def __init__(self) -> None:
        self.lines = io.StringIO()
        self.logger = make_logger("json", "debug", self.lines)
        self.troubles = Troubles(self.logger)

    def __contains__(self, event: str) -> bool:
        return event in self.events

    @property
    def events(self) -> list[str]:
        return [json.loads(line)["event"] for line in self.lines.getvalue().splitlines()]


async def until(true: Callable[[], Any]) -> Any:
    """Wait for something true."""
    async with asyncio.timeout(PATIENCE):
        while not (found := true()):
            await asyncio.sleep(0.01)
    return found


def at_once() -> Pace:
    """A pace that lets everything through."""
    return Pace(0.0)


@pytest.fixture
async def cluster() -> AsyncIterator[FakeCluster]:
    cluster = FakeCluster()
    await cluster.start()
    yield cluster
    await cluster.stop()


@pytest.fixture
async def api(
    cluster: FakeCluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[KubeApi]:
    monkeypatch.setenv("KUBECONFIG", str(cluster.kubeconfig(tmp_path / "kubeconfig")))
    api = KubeApi.connect()
    yield api
    await api.close()


@pytest.fixture
def log() -> Log:
    return Log()


def pod(name: str, node: str = "here", **annotations: str) -> dict[str, Any]:
    """A pod of a node; `weight="2"` is `rota.dev/weight: "2"`."""
    given = {f"rota.dev/{key}": value for key, value in annotations.items()}
    return {
        "metadata": {"name": name, "namespace": "default", "annotations": given},
        "spec": {"nodeName": node, "containers": [{"name": "main"}]},
    }


def config_map(**data: str) -> dict[str, Any]:
    """The ConfigMap rota/config."""
    return {"metadata": {"name": "config", "namespace": "rota"}, "data": data}
