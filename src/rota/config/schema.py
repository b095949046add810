"""A loaded config as plain values: NVIDIA's part as NVIDIA means it, and the key `rota`.

Nothing here reads text or knows positions (`load` does); nothing here knows GPUs (`replicas` does).
Defaults are NVIDIA's (k8s-device-plugin v0.20) and, under `rota`, those of the design.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

MigStrategy = Literal["none", "single", "mixed"]
DeviceListStrategy = Literal["envvar", "volume-mounts", "cdi-annotations", "cdi-cri"]
DeviceIdStrategy = Literal["uuid", "index"]
AllocationPolicy = Literal["distributed", "packed"]


@dataclass(frozen=True, slots=True)
class Flags:
    """NVIDIA's flags that Rota obeys, each after precedence (command line, env, file, default)."""

    mig_strategy: MigStrategy = "none"
    fail_on_init_error: bool = True
    nvidia_driver_root: str = "/"
    pass_device_specs: bool = False
    device_list_strategy: tuple[DeviceListStrategy, ...] = ("envvar",)
    device_id_strategy: DeviceIdStrategy = "uuid"
    cdi_annotation_prefix: str = "cdi.k8s.io/"
    shared_devices_allocation_policy: AllocationPolicy = "distributed"
    policy_set: bool = False
    """Somebody set shared_devices_allocation_policy; else `rota.allocation.policy` holds."""


@dataclass(frozen=True, slots=True)
class ResourcePattern:
    """An entry under `resources.gpus` or `resources.mig`: devices of this product get this name.

    Attributes:
        pattern: a glob over the product name (`*` for all), or over the MIG profile.
        name: the resource's full name.
    """

    pattern: str
    name: str


@dataclass(frozen=True, slots=True)
class DeviceSelection:
    """Which devices an entry under `sharing` is about.

    Exactly one is set: `all`, a count (the first `count` devices of the resource by index), or a
    list of what NVIDIA accepts in one (`"0"`, `"0:1"`, `GPU-…`, `MIG-…`).
    """

    all: bool = True
    count: int = 0
    items: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class SharedResource:
    """One entry of `sharing.timeSlicing.resources` or `sharing.mps.resources`.

    Attributes:
        name: full name of the resource it is about.
        replicas: at least 2.
        devices: which of the resource's devices.
        rename: full name it is served under; empty to keep the name.
        line: where it stands, for messages; 0 where it was not read from a text.
    """

    name: str
    replicas: int
    devices: DeviceSelection = field(default_factory=DeviceSelection)
    rename: str = ""
    line: int = 0


@dataclass(frozen=True, slots=True)
class Sharing:
    """The block that wins, as NVIDIA's parser chooses: `mps` over `timeSlicing`.

    Attributes:
        strategy: `none` where nothing is shared.
        rename_by_default: serve `<name>.shared` where an entry sets no `rename`.
        fail_requests_greater_than_one: refuse a container that asks for two.
        resources: entries in the order of the text.
    """

    strategy: Literal["none", "time-slicing", "mps"] = "none"
    rename_by_default: bool = False
    fail_requests_greater_than_one: bool = False
    resources: tuple[SharedResource, ...] = ()


@dataclass(frozen=True, slots=True)
class Turns:
    """`rota.turns`. Durations in seconds."""

    mode: Literal["exclusive", "driver"] = "exclusive"
    quantum: float = 0.1
    minimum: float = 0.005
    unmanaged: Literal["allow", "gate"] = "allow"


@dataclass(frozen=True, slots=True)
class Allocation:
    """`rota.allocation`."""

    policy: AllocationPolicy = "distributed"
    spread: Literal["preferred", "required"] = "preferred"


@dataclass(frozen=True, slots=True)
class Memory:
    """`rota.memory`. `reserve` in bytes, None for `auto`."""

    limit: Literal["share", "none"] = "share"
    enforce: Literal["hard", "report"] = "hard"
    reserve: int | None = None
    oversubscribe: float = 1.0
    evict: bool = False
    hints: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Paging:
    """`rota.paging`. `idle_after` in seconds; host memory in bytes, or a part of the host's (0–1)."""

    enabled: bool = False
    idle_after: float = 60.0
    host_memory_bytes: int | None = None
    host_memory_part: float = 0.5


@dataclass(frozen=True, slots=True)
class Jobs:
    """`rota.jobs`: local jobs only.

    Attributes:
        quota: the most replicas that one user's jobs hold at a time; None for no limit.
        quotas: the same for users of these names.
    """

    quota: int | None = None
    quotas: tuple[tuple[str, int | None], ...] = ()


@dataclass(frozen=True, slots=True)
class RotaSettings:
    """The key `rota`."""

    turns: Turns = field(default_factory=Turns)
    allocation: Allocation = field(default_factory=Allocation)
    memory: Memory = field(default_factory=Memory)
    paging: Paging = field(default_factory=Paging)
    jobs: Jobs = field(default_factory=Jobs)


@dataclass(frozen=True, slots=True)
class Config:
    """Everything one config says.

    Attributes:
        flags: NVIDIA's flags after precedence.
        gpu_patterns: `resources.gpus`; empty means every GPU is `nvidia.com/gpu`.
        mig_patterns: `resources.mig`; empty means NVIDIA's own names.
        sharing: what is cut into replicas.
        rota: the key `rota`.
    """

    flags: Flags = field(default_factory=Flags)
    gpu_patterns: tuple[ResourcePattern, ...] = ()
    mig_patterns: tuple[ResourcePattern, ...] = ()
    sharing: Sharing = field(default_factory=Sharing)
    rota: RotaSettings = field(default_factory=RotaSettings)

    @property
    def policy(self) -> AllocationPolicy:
        """How replicas are picked: NVIDIA's flag where it was set, else `rota.allocation`."""
        if self.flags.policy_set:
            return self.flags.shared_devices_allocation_policy
        return self.rota.allocation.policy
