"""The folder of an emulated GPU: what lies where, and the inventory file in it."""

from __future__ import annotations

import dataclasses
import json
import os
from pathlib import Path
from typing import Any

from rota.errors import GpuError
from rota.model import Gpu, Inventory, MigDevice

VARIABLE = "ROTA_EMULATED_GPU"
"""The environment variable that tells a program which folder its emulated GPU lives in."""


def from_environment() -> Path | None:
    """The folder that the environment names; None where it names none."""
    name = os.environ.get(VARIABLE)
    return Path(name) if name else None


def socket_path(folder: Path) -> Path:
    """Where the engine listens."""
    return folder / "engine.sock"


def lock_path(folder: Path) -> Path:
    """What the engine of this folder holds locked as long as it lives."""
    return folder / "engine.lock"


def log_path(folder: Path) -> Path:
    """What an engine that failed had to say."""
    return folder / "engine.log"


def device_path(folder: Path, gpu: str) -> Path:
    """What a program opens as it opens `/dev/nvidia<minor>` of a real GPU."""
    return folder / "devices" / gpu


def gate_path(folder: Path, pid: int) -> Path:
    """Where the gate of that process listens."""
    return folder / "gates" / f"{pid}.sock"


def write_inventory(folder: Path, inventory: Inventory) -> None:
    """Say what is emulated in this folder."""
    text = json.dumps(dataclasses.asdict(inventory), indent=2)
    (folder / "devices").mkdir(exist_ok=True)
    for gpu in inventory.gpus:
        device_path(folder, gpu.uuid).touch()
    (folder / "inventory.json").write_text(text + "\n")


def read_inventory(folder: Path) -> Inventory:
    """What is emulated in this folder.

    Raises:
        GpuError: nothing is, or the file is not ours.
    """
    path = folder / "inventory.json"
    try:
        return _inventory(json.loads(path.read_text()))
    except OSError as error:
        raise GpuError(
            "there is no emulated GPU here",
            where=str(folder),
            hint="start one with --emulate, or unset " + VARIABLE,
        ) from error
    except (ValueError, KeyError, TypeError) as error:
        raise GpuError("this does not describe an emulated GPU", where=str(path)) from error


def _inventory(raw: dict[str, Any]) -> Inventory:
    cuda = raw["cuda_version"]
    return Inventory(
        gpus=tuple(_gpu(each) for each in raw["gpus"]),
        driver_version=raw["driver_version"],
        cuda_version=(cuda[0], cuda[1]),
        emulated=True,
    )


def _gpu(raw: dict[str, Any]) -> Gpu:
    capability = raw["compute_capability"]
    return Gpu(
        **{
            **raw,
            "compute_capability": (capability[0], capability[1]),
            "mig_devices": tuple(MigDevice(**each) for each in raw["mig_devices"]),
        }
    )
