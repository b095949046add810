"""What a figure was measured on, without saying whose machine it is."""

from __future__ import annotations

import os
import platform
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

PACKAGES = ("rota", "grpcio", "protobuf", "structlog", "click", "ruamel.yaml")


def describe() -> dict[str, Any]:
    """Processor, cores that may be used, memory, kernel, Python, packages, and the day."""
    return {
        "cpu": _field("/proc/cpuinfo", "model name"),
        "cores": len(os.sched_getaffinity(0)),
        "memory_gib": round(int(_field("/proc/meminfo", "MemTotal").split()[0]) / 2**20, 1),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "packages": {name: version(name) for name in PACKAGES},
        "date": datetime.now(UTC).date().isoformat(),
    }


def path_with(source: Path) -> str:
    """PYTHONPATH with that folder before what is there: packages may lie in a place of their own."""
    return os.pathsep.join(filter(None, (str(source), os.environ.get("PYTHONPATH"))))


def load() -> float:
    """How many processes wanted a core, on average, in the last minute."""
    return round(os.getloadavg()[0], 2)


def sentence(machine: dict[str, Any]) -> str:
    """The description as one line for a person."""
    packages = ", ".join(f"{name} {number}" for name, number in machine["packages"].items())
    return (
        f"{machine['cpu']}, {machine['cores']} cores, {machine['memory_gib']} GiB, "
        f"Linux {machine['kernel']}, Python {machine['python']}, {packages}; {machine['date']}"
    )


def _field(file: str, name: str) -> str:
    for line in Path(file).read_text().splitlines():
        key, _, value = line.partition(":")
        if key.strip() == name:
            return value.strip()
    return "unknown"
