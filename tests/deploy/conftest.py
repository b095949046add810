"""A real kustomize, where the machine can fetch it, and a cluster over HTTP."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from rota.cluster.kube import KubeApi
from tests.cluster.fake import FakeCluster
from tests.deploy.world import World

ROOT = Path(__file__).parents[2]
KEPT = ROOT / ".venv" / "kustomize"
"""Unpacked here, once: it goes with the environment."""


@pytest.fixture(scope="session")
def kustomize() -> str:
    """The program; a skip that says why, where there is none."""
    script = ROOT / ".ci" / "kustomize"
    if found := shutil.which("kustomize"):
        return found
    command = ["timeout", "60", "bash", str(script), str(KEPT)]
    ended = subprocess.run(command, capture_output=True, text=True)
    if ended.returncode:
        why = re.sub(r"\s+", " ", ended.stderr)[-200:]
        pytest.skip(f"no kustomize here, and none to be had: {why or 'not in time'}")
    return ended.stdout.strip()


@pytest.fixture
async def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[World]:
    """A cluster without anything yet; `begin` gives it nodes."""
    monkeypatch.setattr("rota.deploy.rollback.LOOK", (0.02, 0.1))
    cluster = FakeCluster()
    await cluster.start()
    api = KubeApi.connect(str(cluster.kubeconfig(tmp_path / "kubeconfig")), answer=10.0)
    yield World(cluster, api, tmp_path)
    await api.close()
    await cluster.stop()
