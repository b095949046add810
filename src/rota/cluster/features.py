"""The labels of a node, as GPU feature discovery would write them, and our own. Pure.

A node without NVIDIA's feature discovery gets the whole set, so that node selectors written for it
go on working; the values are what the plan serves, where theirs are what the config says. `count`
is physical devices and `replicas` those of one; a product that is shared under its own name ends in
`-SHARED`. `gfd.timestamp` is the time of the last change.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from rota.cluster.chosen import fingerprint
from rota.config.quantities import format_duration
from rota.config.schema import Config
from rota.model import Device, Gpu, Inventory, Resource
from rota.replicas.plan import Plan

NVIDIA = "nvidia.com/"
ROTA = "rota.dev/"

CONFIG = ROTA + "config"
"""Which text is served: whoever applied a config sees which nodes serve it."""

MIG_CAPABLE = ((8, 0), (9, 0), (10, 0), (10, 3))
"""Compute capabilities of the GPUs that MIG can cut: A30 and A100, H100 and later of their kind."""

LONGEST = 63
"""Characters that a label's value may have."""


@dataclass(frozen=True, slots=True)
class Machine:
    """What a node is besides its GPUs.

    Attributes:
        product: the machine's own name, from DMI; empty where it has none.
        modes: GPU → `compute` or `graphics`, by its PCI class.
    """

    product: str = ""
    modes: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Facts:
    """What labels are made of.

    Attributes:
        inventory: the GPUs.
        config: what is served.
        plan: what it makes of them.
        machine: the node.
        turns: programs take turns on at least one GPU.
        config_text: of the config that is served, as the ConfigMap has it; empty for none of a cluster.
    """

    inventory: Inventory
    config: Config
    plan: Plan
    machine: Machine = Machine()
    turns: bool = True
    config_text: str = ""


def labels(facts: Facts, *, own_only: bool = False) -> dict[str, str]:
    """All labels of a node; `own_only`: where NVIDIA's feature discovery runs beside."""
    found = _rota(facts)
    if not own_only:
        found |= {NVIDIA + key: value for key, value in _node(facts).items()}
        for name, parts in _by_name(facts.plan.resources).items():
            found |= {f"{name}.{key}": value for key, value in _resource(parts).items()}
    return {key: value_of(text) for key, text in found.items() if value_of(text)}


def value_of(text: str) -> str:
    """A text as a label's value may be: what it may not hold becomes `-`."""
    text = re.sub(r"[^A-Za-z0-9._-]", "-", text.strip())
    return re.sub(r"^[^A-Za-z0-9]+|[^A-Za-z0-9]+$", "", text[:LONGEST])


def feature_file(wanted: Mapping[str, str]) -> str:
    """The same for node feature discovery's local source: one `key=value` a line."""
    return "".join(f"{key}={value}\n" for key, value in sorted(wanted.items()))


def _rota(facts: Facts) -> dict[str, str]:
    turns = facts.config.rota.turns
    mode = turns.mode if facts.turns else "driver"
    found: dict[str, str] = {ROTA + "turns": mode}
    if mode == "exclusive":
        found[ROTA + "quantum"] = format_duration(turns.quantum)
    if facts.config_text:
        found[CONFIG] = fingerprint(facts.config_text)
    return found


def _node(facts: Facts) -> dict[str, str]:
    inventory = facts.inventory
    found = _versions("cuda.driver-version", inventory.driver_version.split("."), "revision")
    cuda = [str(part) for part in inventory.cuda_version if inventory.cuda_version != (0, 0)]
    found |= _versions("cuda.runtime-version", cuda, "")
    modes = set(facts.machine.modes.values())
    found |= {
        "gpu.machine": facts.machine.product or "unknown",
        "gpu.mode": modes.pop() if len(modes) == 1 else "unknown",
        "mig.capable": _said(any(map(mig_capable, inventory.gpus))),
        "mps.capable": "false",  # true only where MPS serves, which Rota does not
    }
    strategy = facts.config.flags.mig_strategy
    return found if strategy == "none" else found | {"mig.strategy": strategy}


def mig_capable(gpu: Gpu) -> bool:
    """Whether it can be cut by MIG."""
    return gpu.mig_enabled or bool(gpu.mig_devices) or gpu.compute_capability in MIG_CAPABLE


def _versions(name: str, parts: list[str], third: str) -> dict[str, str]:
    """As GPU feature discovery has them: in parts and in full, under new names and old ones."""
    if not parts or not parts[0]:
        return {}
    found = {f"{name}.full": ".".join(parts)}
    old = name.removesuffix("-version")
    for key, former, part in zip(
        ("major", "minor", third), ("major", "minor", "rev"), parts, strict=False
    ):
        if key:
            found |= {f"{name}.{key}": part, f"{old}.{former}": part}
    return found


def _by_name(resources: Iterable[Resource]) -> dict[str, list[Resource]]:
    """Resources by the name that they have without `rename`: some devices may be renamed only."""
    found: dict[str, list[Resource]] = {}
    for resource in resources:
        found.setdefault(resource.renamed_from or resource.name, []).append(resource)
    return found


def _resource(parts: Sequence[Resource]) -> dict[str, str]:
    """The labels of one resource, by what comes after its name."""
    devices = [device for part in parts for device in part.devices]
    shared = [part for part in parts if part.shared]
    most = max(part.replicas_of(device.uuid) for part in parts for device in part.devices)
    suffix = "-SHARED" if any(not part.renamed_from for part in shared) else ""
    major, minor = devices[0].gpu.compute_capability
    return {
        "product": _product(devices[0]) + suffix,
        "count": str(len(devices)),
        "replicas": str(most),
        "memory": str(min(device.memory_bytes for device in devices) >> 20),
        "sharing-strategy": shared[0].sharing if shared else "none",
        "family": devices[0].gpu.family,
        "compute.major": str(major),
        "compute.minor": str(minor),
    }


def _product(device: Device) -> str:
    name = re.sub(r"\s+", "-", device.gpu.product)
    return f"{name}-MIG-{device.mig.profile}" if device.mig else name


def _said(true: bool) -> str:
    return "true" if true else "false"
