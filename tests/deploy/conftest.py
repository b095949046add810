"""A real kustomize, from Debian's package, where the machine can fetch it."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
KEPT = ROOT / ".venv" / "kustomize"
"""Unpacked here, once: it goes with the environment."""


@pytest.fixture(scope="session")
def kustomize() -> str:
    """The program; a skip that says why, where there is none."""
    script = ROOT / ".ci" / "kustomize"
    if found := shutil.which("kustomize"):
        return found
    ended = subprocess.run(["bash", script, KEPT], capture_output=True, text=True, timeout=100)
    if ended.returncode:
        why = re.sub(r"\s+", " ", ended.stderr)[-200:]
        pytest.skip(f"no kustomize here, and none to be had: {why or 'no apt'}")
    return ended.stdout.strip()
