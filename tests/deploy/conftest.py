"""A real kustomize, where the machine can fetch it, and a cluster."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.cluster.fake import FakeCluster
from tests.cluster.fake.near import near
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
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    """A cluster without anything yet; `begin` gives it nodes."""
    monkeypatch.setattr("rota.deploy.rollback.LOOK", (0.02, 0.1))
    cluster = FakeCluster()
    return World(cluster, near(cluster), tmp_path)
