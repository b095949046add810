"""The project's nouns as frozen dataclasses. No I/O, no behaviour that needs a clock.

Every room speaks of these, and what travels between rooms is made of nothing else.
"""

from __future__ import annotations

from dataclasses import dataclass, field

ARCHITECTURES = {
    (7, 0): "volta",
    (7, 2): "volta",
    (7, 5): "turing",
    (8, 0): "ampere",
    (8, 6): "ampere",
    (8, 7): "ampere",
    (8, 9): "ada-lovelace",
    (9, 0): "hopper",
    (10, 0): "blackwell",
    (10, 3): "blackwell",
    (12, 0): "blackwell",
    (12, 1): "blackwell",
}
"""Compute capability → family, as GPU feature discovery names them; older ones by major below."""

_OLDER = {3: "kepler", 5: "maxwell", 6: "pascal"}


@dataclass(frozen=True, slots=True)
class MigDevice:
    """One MIG instance of a GPU, as NVML lists it.

    Attributes:
        uuid: `MIG-…`.
        index: its place among the MIG devices of its GPU, from 0.
        profile: NVIDIA's name of its size, such as `1g.10gb`.
        memory_bytes: its own memory.
        gpu_instance: NVML's GPU instance id.
        compute_instance: NVML's compute instance id.
    """

    uuid: str
    index: int
    profile: str
    memory_bytes: int
    gpu_instance: int = 0
    compute_instance: int = 0


@dataclass(frozen=True, slots=True)
class Gpu:
    """One physical device, known by its UUID.

    Attributes:
        uuid: `GPU-…`.
        index: NVML's index, from 0.
        minor: the number in `/dev/nvidia<minor>`.
        product: the marketing name, such as `NVIDIA H200`.
        memory_bytes: total memory as NVML reports it.
        compute_capability: (major, minor).
        pci_bus_id: `0000:01:00.0`.
        mig_enabled: MIG mode is on now.
        mig_devices: its MIG instances, in index order; empty unless MIG mode is on.
    """

    uuid: str
    index: int
    minor: int
    product: str
    memory_bytes: int
    compute_capability: tuple[int, int]
    pci_bus_id: str = ""
    mig_enabled: bool = False
    mig_devices: tuple[MigDevice, ...] = ()

    @property
    def family(self) -> str:
        """The architecture's name, `undefined` for one that we do not know."""
        major, _ = self.compute_capability
        return ARCHITECTURES.get(self.compute_capability) or _OLDER.get(major, "undefined")


@dataclass(frozen=True, slots=True)
class Inventory:
    """What one node has.

    Attributes:
        gpus: in index order.
        driver_version: such as `580.159.04`; empty when unknown.
        cuda_version: (major, minor) that the driver supports.
        emulated: there is no such hardware here. Whoever shows this inventory must say so.
    """

    gpus: tuple[Gpu, ...] = ()
    driver_version: str = ""
    cuda_version: tuple[int, int] = (0, 0)
    emulated: bool = False

    def gpu(self, uuid: str) -> Gpu | None:
        """The GPU with this UUID, or the GPU that holds the MIG device with this UUID."""
        for gpu in self.gpus:
            if gpu.uuid == uuid or any(mig.uuid == uuid for mig in gpu.mig_devices):
                return gpu
        return None


@dataclass(frozen=True, slots=True)
class Device:
    """What can be advertised: a whole GPU, or one MIG device of it.

    Attributes:
        gpu: the physical device.
        mig: the MIG device, or None for the whole GPU.
    """

    gpu: Gpu
    mig: MigDevice | None = None

    @property
    def uuid(self) -> str:
        """The UUID that programs are given."""
        return self.mig.uuid if self.mig else self.gpu.uuid

    @property
    def index(self) -> str:
        """NVIDIA's index form: `0`, or `0:1` for the second MIG device of GPU 0."""
        return f"{self.gpu.index}:{self.mig.index}" if self.mig else str(self.gpu.index)

    @property
    def memory_bytes(self) -> int:
        """The memory of the GPU or of the MIG device."""
        return self.mig.memory_bytes if self.mig else self.gpu.memory_bytes


@dataclass(frozen=True, slots=True)
class Replica:
    """One virtual GPU advertised to the kubelet.

    Attributes:
        device: UUID of the device behind it.
        ordinal: its number among the replicas of that device; None where the device is not shared.
    """

    device: str
    ordinal: int | None = None

    @property
    def id(self) -> str:
        """`<uuid>::<n>`, NVIDIA's form, which other tools parse; the bare UUID when not shared."""
        return self.device if self.ordinal is None else f"{self.device}::{self.ordinal}"

    @classmethod
    def parse(cls, replica_id: str) -> Replica:
        """Read an id of either form. Any string is taken: an unknown one names an unknown device."""
        device, mark, number = replica_id.rpartition("::")
        if mark and number.isdecimal():
            return cls(device, int(number))
        return cls(replica_id)


@dataclass(frozen=True, slots=True)
class Resource:
    """One extended resource of the node, with all its replicas.

    Attributes:
        name: in full, such as `nvidia.com/gpu` or `nvidia.com/gpu.shared`.
        devices: the devices behind it, in index order.
        replicas: grouped by device, in ordinal order.
        sharing: `none`, `time-slicing`, or `mps` (served as replicas, with a warning).
        single_request: a container may ask for one replica only (failRequestsGreaterThanOne).
        renamed_from: the name it would have without `rename`/`renameByDefault`; empty otherwise.
    """

    name: str
    devices: tuple[Device, ...]
    replicas: tuple[Replica, ...]
    sharing: str = "none"
    single_request: bool = False
    renamed_from: str = ""

    @property
    def shared(self) -> bool:
        """Its devices are cut into replicas."""
        return self.sharing != "none"

    def replicas_of(self, device: str) -> int:
        """How many replicas this resource makes of the device with that UUID."""
        return sum(1 for replica in self.replicas if replica.device == device)


@dataclass(frozen=True, slots=True)
class GpuProcess:
    """A process that has memory on a GPU, as NVML (or the emulated driver) lists it.

    Attributes:
        pid: in the host's pid namespace.
        memory_bytes: GPU memory it uses; 0 where the driver does not say.
    """

    pid: int
    memory_bytes: int = 0


@dataclass(frozen=True, slots=True)
class GpuMemory:
    """Memory of a GPU, in bytes."""

    total: int
    used: int
    free: int


@dataclass(frozen=True, slots=True)
class HealthEvent:
    """The driver reported an error.

    Attributes:
        gpu: UUID of the GPU; None when the event concerns all of them.
        xid: NVIDIA's error number; 0 where the event is no Xid (double-bit ECC, lost GPU).
        detail: one sentence for the log.
    """

    gpu: str | None
    xid: int
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Client:
    """Whoever holds replicas: a container of a pod, or a local job.

    Attributes:
        id: `<namespace>/<pod>/<container>` for a container, `job/<name>` for a local job.
        replicas: the replicas it holds.
        pids: its processes, as far as they are known.
        labels: what it is shown with (namespace, pod, container, or job and user).
    """

    id: str
    replicas: tuple[Replica, ...]
    pids: frozenset[int] = frozenset()
    labels: tuple[tuple[str, str], ...] = field(default=())
