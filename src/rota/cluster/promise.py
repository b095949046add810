"""How many replicas a node should offer under a config, as far as its labels tell. Pure.

Whoever waits for nodes, proves them or looks for what is wrong asks here, so that they agree. The
sharing is planned as an agent plans it; only the GPUs are known by no more than their count.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, replace

from rota.cluster.gpus import GpuNode
from rota.config.schema import Config, DeviceSelection, SharedResource
from rota.model import Gpu, Inventory
from rota.replicas.naming import GPU, SHARED_SUFFIX
from rota.replicas.plan import plan


@dataclass(frozen=True, slots=True)
class Due:
    """How many replicas of a resource a node should offer.

    Attributes:
        count: of all its devices together; None where labels do not tell.
        each: of one device, where the count is not known.
        mixed: some devices may have another number than `each`, and none has fewer.
    """

    count: int | None = None
    each: int = 1
    mixed: bool = False

    def fits(self, offered: int) -> bool:
        """That many are right."""
        if self.count is not None:
            return offered == self.count
        return offered >= self.each and (self.mixed or offered % self.each == 0)

    def __str__(self) -> str:
        return f"{self.each} for each device" if self.count is None else str(self.count)


def as_nvidia_reads(config: Config) -> Config:
    """The config as NVIDIA's plugin takes it: it throws `devices`, `rename` and `resources` away."""
    entries = (replace(e, devices=DeviceSelection(), rename="") for e in config.sharing.resources)
    sharing = replace(config.sharing, resources=tuple(entries))
    return replace(config, sharing=sharing, gpu_patterns=(), mig_patterns=())


def promised(config: Config, node: GpuNode) -> dict[str, int] | None:
    """Resource → devices that a config makes of a node's GPUs, by the count in its labels.

    None where labels do not tell enough: no count, MIG devices, GPUs chosen by their UUIDs.
    """
    count = node.count(GPU)
    named = [i for r in config.sharing.resources for i in r.devices.items if not i.isdecimal()]
    mig = any(name.startswith("nvidia.com/mig-") for name in node.capacity)
    if count is None or named or mig or config.flags.mig_strategy != "none":
        return None
    product = node.labels.get(f"{GPU}.product", "").removesuffix("-SHARED")
    gpus = tuple(Gpu(f"GPU-{n}", n, n, product, 0, (0, 0)) for n in range(count))
    made = plan(config, Inventory(gpus))
    return None if made.failed else {r.name: len(r.replicas) for r in made.resources}


def due(config: Config, node: GpuNode) -> dict[str, Due]:
    """Resource → how many a node should offer: exactly, or what can be said without a count."""
    exactly = promised(config, node)
    if exactly is not None:
        return {name: Due(count) for name, count in exactly.items()}
    found: defaultdict[str, list[SharedResource]] = defaultdict(list)
    for entry in config.sharing.resources:
        by_default = entry.name + SHARED_SUFFIX * config.sharing.rename_by_default
        found[entry.rename or by_default].append(entry)
    return {name: _roughly(entries, node) for name, entries in found.items()}


def _roughly(entries: list[SharedResource], node: GpuNode) -> Due:
    first, *more = entries
    each = min(entry.replicas for entry in entries)
    if more or first.devices != DeviceSelection():
        return Due(each=each, mixed=bool(more) or not first.rename)
    count = node.count(first.name)  # of MIG devices too, which no plan knows here
    return Due(None if count is None else count * each, each)
