"""Which of the driver's files go into a container."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from rota.kubelet.driver_files import DriverFault, DriverFiles

if TYPE_CHECKING:
    from tests.kubelet.conftest import Things


def touch(root: Path, *paths: str) -> None:
    for path in paths:
        file = root / path.lstrip("/")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()


def test_the_gpus_node_is_named_by_minor_number_and_common_ones_only_where_they_are(
    tmp_path: Path, things: Things
) -> None:
    touch(tmp_path, "/dev/nvidiactl", "/dev/nvidia-uvm")
    nodes = DriverFiles(host=tmp_path).nodes(things.whole().devices)
    assert [(node.path, node.host_path, node.permissions) for node in nodes] == [
        ("/dev/nvidia4", "/dev/nvidia4", "rw"),
        ("/dev/nvidia5", "/dev/nvidia5", "rw"),
        ("/dev/nvidiactl", "/dev/nvidiactl", "rw"),
        ("/dev/nvidia-uvm", "/dev/nvidia-uvm", "rw"),
    ]


def test_a_driver_root_with_nodes_of_its_own_gives_those(tmp_path: Path, things: Things) -> None:
    touch(tmp_path, "/run/nvidia/driver/dev/nvidia-modeset", "/dev/nvidiactl")
    nodes = DriverFiles("/run/nvidia/driver", host=tmp_path).nodes(things.whole().devices[:1])
    assert [(node.path, node.host_path) for node in nodes] == [
        ("/dev/nvidia4", "/run/nvidia/driver/dev/nvidia4"),
        ("/dev/nvidia-modeset", "/run/nvidia/driver/dev/nvidia-modeset"),
    ]


def test_a_driver_root_without_nodes_uses_the_hosts(tmp_path: Path, things: Things) -> None:
    touch(tmp_path, "/opt/driver/usr/bin/nvidia-smi", "/dev/nvidiactl")
    nodes = DriverFiles("/opt/driver", host=tmp_path).nodes(things.whole().devices[:1])
    assert [node.host_path for node in nodes] == ["/dev/nvidia4", "/dev/nvidiactl"]


def test_a_mig_device_needs_its_gpu_and_two_capabilities(tmp_path: Path, things: Things) -> None:
    minors = tmp_path / "proc/driver/nvidia-caps/mig-minors"
    minors.parent.mkdir(parents=True)
    minors.write_text("config 1\ngpu4/gi7/access 66\ngpu4/gi7/ci0/access 67\ngpu4/gi8/access 75\n")
    files = DriverFiles(host=tmp_path)
    first, second = things.mig().devices
    assert [node.path for node in files.nodes([first])] == [
        "/dev/nvidia4",
        "/dev/nvidia-caps/nvidia-cap66",
        "/dev/nvidia-caps/nvidia-cap67",
    ]
    with pytest.raises(DriverFault, match="no capability gpu4/gi8/ci0/access for MIG-0-1"):
        files.nodes([second])


def test_an_emulated_gpu_has_only_the_files_that_exist(tmp_path: Path, things: Things) -> None:
    files = DriverFiles(emulated=True, host=tmp_path)
    assert files.nodes(things.whole().devices) == ()
    assert files.nodes(things.mig().devices) == ()


def test_libraries_of_this_driver_are_mounted_under_both_their_names(tmp_path: Path) -> None:
    folder = "/usr/lib/x86_64-linux-gnu"
    touch(
        tmp_path,
        f"/drv{folder}/libcuda.so.580.1",
        f"/drv{folder}/libcuda.so.1",
        f"/drv{folder}/libother.so.3",
        f"/drv{folder}/libnvidia-ml.so.570.9",
        "/drv/usr/bin/nvidia-smi",
    )
    mounts = DriverFiles("/drv", host=tmp_path).mounts("580.1")
    assert [(mount.container_path, mount.host_path) for mount in mounts] == [
        (f"{folder}/libcuda.so.580.1", f"/drv{folder}/libcuda.so.580.1"),
        (f"{folder}/libcuda.so.1", f"/drv{folder}/libcuda.so.1"),
        ("/usr/bin/nvidia-smi", "/drv/usr/bin/nvidia-smi"),
    ]
    assert all(mount.read_only for mount in mounts)
    assert DriverFiles("/drv", host=tmp_path).mounts("") == ()


@pytest.mark.parametrize(("text", "node"), [("1\n", 1), ("0\n", 0), ("-1\n", None), ("?\n", None)])
def test_the_numa_node_is_that_of_the_pci_device(
    tmp_path: Path, things: Things, text: str, node: int | None
) -> None:
    touch(tmp_path, "/sys/bus/pci/devices/0000:9b:00.0/numa_node")
    (tmp_path / "sys/bus/pci/devices/0000:9b:00.0/numa_node").write_text(text)
    files = DriverFiles(host=tmp_path)
    gpu = things.inventory.gpus[0]
    assert files.numa_node(replace(gpu, pci_bus_id="00000000:9B:00.0")) == node
    assert files.numa_node(replace(gpu, pci_bus_id="0000:17:00.0")) is None
    assert files.numa_node(gpu) is None
