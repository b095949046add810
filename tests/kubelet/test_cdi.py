"""The CDI spec: what it says, and that it is there whole or not at all."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from rota.errors import KubeletError
from rota.kubelet.cdi import spec, write
from rota.kubelet.driver_files import DriverFiles

if TYPE_CHECKING:
    from tests.kubelet.conftest import Things


def test_each_gpu_is_there_by_uuid_and_by_index(tmp_path: Path, things: Things) -> None:
    (tmp_path / "dev").mkdir()
    (tmp_path / "dev/nvidiactl").touch()
    content = spec(things.inventory, DriverFiles(host=tmp_path))
    assert content["kind"] == "k8s.device-plugin.nvidia.com/gpu"
    assert tuple(map(int, content["cdiVersion"].split("."))) >= (0, 5, 0)
    assert [device["name"] for device in content["devices"]] == ["GPU-0", "0", "GPU-1", "1"]
    (node,) = content["devices"][2]["containerEdits"]["deviceNodes"]
    assert node == {"path": "/dev/nvidia5", "hostPath": "/dev/nvidia5", "permissions": "rw"}
    (common,) = content["containerEdits"]["deviceNodes"]
    assert common["path"] == "/dev/nvidiactl"


def test_names_are_valid_and_no_device_is_without_edits(things: Things, tmp_path: Path) -> None:
    emulated = replace(things.mig_inventory, emulated=True)
    content = spec(emulated, DriverFiles(emulated=True, host=tmp_path))
    names = [device["name"] for device in content["devices"]]
    assert names == ["GPU-0", "0", "MIG-0-0", "0:0", "MIG-0-1", "0:1"]
    for device in content["devices"]:
        assert re.fullmatch(r"[A-Za-z0-9]([A-Za-z0-9_.:-]*[A-Za-z0-9])?", device["name"])
        assert device["containerEdits"]["env"] == ["NVIDIA_VISIBLE_DEVICES=void"]


def test_the_file_is_replaced_whole_and_nothing_else_is_left(tmp_path: Path) -> None:
    folder = tmp_path / "run" / "cdi"
    path = write(folder, {"kind": "a"})
    assert write(folder, {"kind": "b"}) == path
    assert path.name == "k8s.device-plugin.nvidia.com-gpu.json"
    assert json.loads(path.read_text()) == {"kind": "b"}
    assert list(folder.iterdir()) == [path]


def test_a_folder_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(KubeletError, match="cannot write the CDI spec: Not a directory"):
        write(tmp_path / "file" / "cdi", {})
