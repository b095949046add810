"""The device manager's memory on disk, `kubelet_internal_checkpoint`, in the real one's layout.

Which devices a running pod holds must outlive the kubelet, and other programs on a node read this
file, so its keys are those of a stock kubelet. The checksum is ours: a real one hashes its own
data structures, which nobody else can.
"""

from __future__ import annotations

import base64
import binascii
import json
import os
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rota.errors import KubeletError

FILE_NAME = "kubelet_internal_checkpoint"

NO_NODE = -1
"""The NUMA node of a device whose plugin named none."""


@dataclass(frozen=True, slots=True)
class Entry:
    """What one container holds of one resource.

    Attributes:
        pod_uid: the pod.
        container: the container's name.
        resource: the resource's name.
        devices: NUMA node (or `NO_NODE`) → device ids.
        response: the plugin's ContainerAllocateResponse, as protobuf bytes.
    """

    pod_uid: str
    container: str
    resource: str
    devices: Mapping[int, tuple[str, ...]]
    response: bytes = b""

    @property
    def ids(self) -> tuple[str, ...]:
        """Each device once, in the order in which it was chosen."""
        return tuple(dict.fromkeys(i for ids in self.devices.values() for i in ids))


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """Everything in the file.

    Attributes:
        entries: what pods hold.
        registered: resource → its healthy devices.
    """

    entries: tuple[Entry, ...] = ()
    registered: Mapping[str, tuple[str, ...]] | None = None


def write(path: Path, entries: Iterable[Entry], registered: Mapping[str, Iterable[str]]) -> None:
    """Replace the file in one step: a reader sees the old one or the new one, whole."""
    data = {
        "PodDeviceEntries": [_plain(entry) for entry in entries],
        "RegisteredDevices": {name: sorted(ids) for name, ids in sorted(registered.items())},
    }
    text = json.dumps({"Data": data, "Checksum": _checksum(data)}, separators=(",", ":"))
    draft = path.with_name(f".{path.name}.new")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)


def read(path: Path) -> Checkpoint:
    """Read the file; one that is not there is an empty one.

    Raises:
        KubeletError: it is damaged.
    """
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        data = document["Data"]
        if document["Checksum"] != _checksum(data):
            raise ValueError("the checksum does not fit")
        entries = tuple(_entry(item) for item in data["PodDeviceEntries"] or ())
        registered = {name: tuple(ids or ()) for name, ids in data["RegisteredDevices"].items()}
    except FileNotFoundError:
        return Checkpoint((), {})
    except (ValueError, KeyError, TypeError, AttributeError, binascii.Error) as error:
        raise KubeletError(
            f"the checkpoint is damaged: {error}",
            where=str(path),
            hint="which devices the running pods hold is forgotten",
        ) from None
    return Checkpoint(entries, registered)


def _plain(entry: Entry) -> dict[str, object]:
    return {
        "PodUID": entry.pod_uid,
        "ContainerName": entry.container,
        "ResourceName": entry.resource,
        "DeviceIDs": {str(node): list(ids) for node, ids in entry.devices.items()},
        "AllocResp": base64.b64encode(entry.response).decode("ascii"),
    }


def _entry(item: Mapping[str, Any]) -> Entry:
    return Entry(
        item["PodUID"],
        item["ContainerName"],
        item["ResourceName"],
        {int(node): tuple(ids) for node, ids in item["DeviceIDs"].items()},
        base64.b64decode(item["AllocResp"], validate=True),
    )


def _checksum(data: object) -> int:
    return zlib.crc32(json.dumps(data, sort_keys=True, separators=(",", ":")).encode())
