"""The driver's files that a container needs: device nodes, and libraries for a CDI spec.

Paths are those of NVIDIA's plugin and driver. A driver root without a `dev` folder (a driver that
is installed in a folder of the host) uses the host's own device nodes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from rota.errors import KubeletError
from rota.kubelet.allocation import DeviceNode, Mount
from rota.model import Device, Gpu, MigDevice

COMMON_NODES = (
    "/dev/nvidiactl",
    "/dev/nvidia-uvm",
    "/dev/nvidia-uvm-tools",
    "/dev/nvidia-modeset",
)
LIBRARY_FOLDERS = (
    "/usr/lib64",
    "/usr/lib/x86_64-linux-gnu",
    "/usr/lib/aarch64-linux-gnu",
    "/usr/lib",
)
PROGRAMS = ("nvidia-smi", "nvidia-debugdump", "nvidia-persistenced")


class DriverFault(KubeletError):
    """The driver's files do not fit the devices that it lists."""


@dataclass(frozen=True, slots=True)
class DriverFiles:
    """The files of one installed driver.

    Attributes:
        root: the driver root as the container runtime names it (NVIDIA_DRIVER_ROOT).
        emulated: there is no driver: nothing is demanded of the disk, what is not there is left out.
        host: where this process sees the host's `/`.
    """

    root: str = "/"
    emulated: bool = False
    host: Path = Path("/")

    def nodes(self, devices: Sequence[Device]) -> tuple[DeviceNode, ...]:
        """The device files of these devices: their own first, then those that all share.

        Raises:
            DriverFault: the capability of a MIG device is not known to the driver.
        """
        return (*self.own_nodes(devices), *self.common_nodes())

    def own_nodes(self, devices: Sequence[Device]) -> tuple[DeviceNode, ...]:
        """`/dev/nvidia<minor>`, and for MIG devices the two capabilities."""
        paths: dict[str, None] = {}
        for device in devices:
            paths[f"/dev/nvidia{device.gpu.minor}"] = None
            if device.mig and not self.emulated:
                paths.update(dict.fromkeys(self._capabilities(device.gpu.minor, device.mig)))
        return tuple(self._node(path) for path in paths if not self.emulated or self._is(path))

    def common_nodes(self) -> tuple[DeviceNode, ...]:
        """Those of the driver's own nodes that exist."""
        return tuple(self._node(path) for path in COMMON_NODES if self._is(path))

    def mounts(self, version: str) -> tuple[Mount, ...]:
        """The driver's libraries (`*.so.<version>` and the names they are linked by), programs."""
        if not version:
            return ()
        paths = dict.fromkeys((*self._libraries(version), *self._programs()))
        return tuple(Mount(path, self._on_host(path), read_only=True) for path in paths)

    def numa_node(self, gpu: Gpu) -> int | None:
        """The NUMA node that a GPU is attached to, by sysfs; None where the machine has but one.

        The kubelet's topology manager aligns processors and memory with it.
        """
        device = gpu.pci_bus_id.lower()[-len("0000:00:00.0") :]
        path = self.host / "sys/bus/pci/devices" / device / "numa_node"
        try:
            node = int(path.read_text()) if device and not self.emulated else -1
        except (OSError, ValueError):
            return None
        return node if node >= 0 else None

    def _capabilities(self, minor: int, mig: MigDevice) -> tuple[str, ...]:
        gpu, instance = f"gpu{minor}", f"gi{mig.gpu_instance}"
        own = f"{gpu}/{instance}/ci{mig.compute_instance}/access"
        wanted = (f"{gpu}/{instance}/access", own)
        known = self._mig_minors()
        for name in wanted:
            if name not in known:
                where = str(self.host / "proc/driver/nvidia-caps/mig-minors")
                hint = "load the driver's capabilities: nvidia-modprobe -f"
                raise DriverFault(f"no capability {name} for {mig.uuid}", where=where, hint=hint)
        return tuple(f"/dev/nvidia-caps/nvidia-cap{known[name]}" for name in wanted)

    def _mig_minors(self) -> dict[str, str]:
        try:
            text = (self.host / "proc/driver/nvidia-caps/mig-minors").read_text()
        except OSError:
            return {}
        rows = (line.split() for line in text.splitlines())
        return {row[0]: row[1] for row in rows if len(row) == 2}

    def _libraries(self, version: str) -> Iterator[str]:
        """A soname is mounted as a file of its own: no hook has to link it in the container."""
        for folder in map(self._see, LIBRARY_FOLDERS):
            if folder.is_symlink():
                continue
            for library in sorted(folder.glob(f"*.so.{version}")):
                name = library.name.removesuffix(f".{version}")
                for path in (library, folder / f"{name}.1"):
                    if path.exists():
                        yield f"/{path.relative_to(self._see('/'))}"

    def _programs(self) -> Iterator[str]:
        return (path for name in PROGRAMS if self._see(path := f"/usr/bin/{name}").exists())

    def _see(self, path: str) -> Path:
        return self.host / self.root.lstrip("/") / path.lstrip("/")

    def _on_host(self, path: str) -> str:
        return f"{self.root.rstrip('/')}{path}"

    def _node(self, path: str) -> DeviceNode:
        return DeviceNode(path, self._on_host(path) if self._see("/dev").is_dir() else path)

    def _is(self, path: str) -> bool:
        return (self.host / self._node(path).host_path.lstrip("/")).exists()
