"""A run as a document: what was measured, on what, and what did not work."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from rota.bench.slots import Slot, parse_slot
from rota.errors import RotaError, UsageError

ABOVE_ONE = (
    "A total above 1 is no wonder here: a program that is alone on the emulated GPU leaves it idle "
    "while it waits for a core, and others fill the gaps."
)
"""Said beside emulated figures."""

NOTE = "EMULATED GPU: the figures are the emulation's and of a busy machine, not a GPU's"
_PACKAGES = ("rota", "cuda-bindings", "nvidia-ml-py", "torch")


@dataclass(slots=True)
class Document:
    """What a run leaves.

    Attributes:
        machine: GPU, driver, processor, versions, date.
        options: rounds, quantum and the like.
        emulated: the GPU is.
        off: way of sharing → why it was not measured.
        slots: every measurement.
    """

    machine: Mapping[str, Any]
    options: Mapping[str, Any]
    emulated: bool
    off: Mapping[str, str] = field(default_factory=dict)
    slots: Sequence[Slot] = ()

    @property
    def failures(self) -> list[Slot]:
        """Measurements that failed."""
        return [slot for slot in self.slots if slot.error]

    @property
    def sentence(self) -> str:
        """The machine in one line."""
        facts, packages = self.machine, self.machine["packages"]
        versions = ", ".join(f"{name} {number}" for name, number in packages.items())
        return (
            f"{facts['gpu']}{' (emulated)' if self.emulated else ''}, driver {facts['driver']}; "
            f"{facts['cpu']}, {facts['cores']} cores, Linux {facts['kernel']}, "
            f"Python {facts['python']}, {versions}; {facts['date']}"
        )

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "emulated": self.emulated,
            **({"note": NOTE} if self.emulated else {}),
            "machine": dict(self.machine),
            "options": dict(self.options),
            "off": dict(self.off),
            "slots": [slot.document() for slot in self.slots],
        }


def keep(document: Document, path: Path) -> None:
    """Write it whole or not at all, so that a run which is cut short leaves what it had."""
    beside = path.with_name(path.name + ".part")
    try:
        beside.write_text(json.dumps(document.to_json(), indent=1, ensure_ascii=False) + "\n")
        beside.replace(path)
    except OSError as error:
        raise RotaError(f"cannot be written: {error.strerror}", where=str(path)) from error


def read(path: Path) -> Document:
    """Read one that was kept.

    Raises:
        UsageError: it cannot be read.
        RotaError: it is none.
    """
    try:
        raw = json.loads(path.read_text())
        slots = [parse_slot(slot) for slot in raw["slots"]]
        return Document(raw["machine"], raw["options"], raw["emulated"], raw["off"], slots)
    except OSError as error:
        raise UsageError(f"cannot be read: {error.strerror}", where=str(path)) from error
    except (ValueError, KeyError, TypeError) as error:
        raise RotaError(f"is no document of `rota bench`: {error!r}", where=str(path)) from error


def describe_machine(gpu: str, driver: str) -> dict[str, Any]:
    """What a run was measured on, without saying whose machine it is."""
    return {
        "gpu": gpu,
        "driver": driver,
        "cpu": _cpu(),
        "cores": len(os.sched_getaffinity(0)),
        "load": load(),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "packages": {name: number for name in _PACKAGES if (number := _version(name))},
        "date": datetime.now(UTC).date().isoformat(),
    }


def load() -> float:
    """How many processes wanted a core, on average, in the last minute."""
    return round(os.getloadavg()[0], 2)


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return ""


def _cpu() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    return next((x.partition(":")[2].strip() for x in lines if x.startswith("model name")), "?")
