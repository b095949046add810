"""The CDI spec: what a container runtime does for `k8s.device-plugin.nvidia.com/gpu=<name>`.

https://github.com/cncf-tags/container-device-interface. Each device is there by UUID and by index,
so that both id strategies find it. The file has the name that NVIDIA's plugin gives its own: two
files for one kind would make every device ambiguous.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from rota.errors import KubeletError
from rota.kubelet.allocation import CDI_KIND, VISIBLE_DEVICES, DeviceNode
from rota.kubelet.driver_files import DriverFiles
from rota.model import Device, Inventory

CDI_FOLDER = Path("/var/run/cdi")
FILE_NAME = f"{CDI_KIND.replace('/', '-')}.json"
VERSION = "0.5.0"
"""The first that knows hostPath of device nodes."""


def spec(inventory: Inventory, files: DriverFiles) -> dict[str, Any]:
    """The spec as plain values.

    Raises:
        KubeletError: the capability of a MIG device is not known to the driver.
    """
    return {
        "cdiVersion": VERSION,
        "kind": CDI_KIND,
        "devices": [entry for device in _devices(inventory) for entry in _entries(device, files)],
        "containerEdits": {
            "env": [f"{VISIBLE_DEVICES}=void"],
            "deviceNodes": [_node(node) for node in files.common_nodes()],
            "mounts": [
                {
                    "hostPath": mount.host_path,
                    "containerPath": mount.container_path,
                    "options": ["ro", "nosuid", "nodev", "bind"],
                }
                for mount in files.mounts("" if inventory.emulated else inventory.driver_version)
            ],
        },
    }


class CdiError(KubeletError):
    """The CDI spec cannot be written, so no container could be given what a strategy promises."""


def write(folder: Path, content: dict[str, Any]) -> Path:
    """Put the spec into a folder, whole or not at all.

    Raises:
        CdiError: the folder cannot be made or written.
    """
    path = folder / FILE_NAME
    half = folder / f".{FILE_NAME}.{os.getpid()}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        half.write_text(json.dumps(content, indent=2) + "\n")
        half.replace(path)
    except OSError as error:
        with suppress(OSError):
            half.unlink()
        hint = "mount the folder, or choose another deviceListStrategy"
        what = f"cannot write the CDI spec: {error.strerror}"
        raise CdiError(what, where=str(path), hint=hint) from None
    return path


def _devices(inventory: Inventory) -> Iterator[Device]:
    for gpu in inventory.gpus:
        yield Device(gpu)
        yield from (Device(gpu, mig) for mig in gpu.mig_devices)


def _entries(device: Device, files: DriverFiles) -> Iterator[dict[str, Any]]:
    """The variable is repeated here since a device without any edit is not valid."""
    nodes = [_node(node) for node in files.own_nodes([device])]
    edits = {"env": [f"{VISIBLE_DEVICES}=void"], "deviceNodes": nodes}
    for name in (device.uuid, device.index):
        yield {"name": name, "containerEdits": edits}


def _node(node: DeviceNode) -> dict[str, str]:
    return {"path": node.path, "hostPath": node.host_path, "permissions": node.permissions}
