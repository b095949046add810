"""The labels of a node, as GPU feature discovery would write them, and our own. Pure.

A node without NVIDIA's feature discovery gets the whole set, so that node selectors written for it
go on working; the values are what the plan serves, where theirs are what the config says. `count`
is physical devices and `replicas` those of one; a product that is shared under its own name ends in
`-SHARED`. `gfd.timestamp` is the time of the last change.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from rota.config.quantities import format_duration
from rota.config.schema import Config
from rota.model import Device, Gpu, Inventory, Resource
from rota.replicas.plan import Plan

NVIDIA = "nvidia.com/"
ROTA = "rota.dev/"

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
    """

    inventory: Inventory
    config: Config
    plan: Plan
    machine: Machine = Machine()
    turns: bool = True


def labels(facts: Facts, *, own_only: bool = False) -> dict[str, str]:
    """All labels of a node; `own_only`: where NVIDIA's feature discovery runs beside."""
    found = _rota(facts)
    if not own_only:
        found |= {NVIDIA + key: value for key, value in _node(facts).items()}
        for resource in facts.plan.resources:
            found |= _resource(resource, facts)
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


def _resource(resource: Resource, facts: Facts) -> dict[str, str]:
    """Those of one resource, under the name that it has without `rename`."""
    name = resource.renamed_from or resource.name
    count, product = len(resource.devices), _product(resource.devices)
    most = max((resource.replicas_of(device.uuid) for device in resource.devices), default=1)
    shared = resource.shared and most > 1
    found = {
        "product": product + ("-SHARED" if shared and not resource.renamed_from else ""),
        "count": str(count),
        "replicas": str(most),
        "memory": str(min(device.memory_bytes for device in resource.devices) >> 20),
        "sharing-strategy": resource.sharing,
    }
    first = resource.devices[0].gpu
    major, minor = first.compute_capability
    found |= {"family": first.family, "compute.major": str(major), "compute.minor": str(minor)}
    return {f"{name}.{key}": value for key, value in found.items()}


def _product(devices: Iterable[Device]) -> str:
    first = next(iter(devices))
    name = re.sub(r"\s+", "-", first.gpu.product)
    return f"{name}-MIG-{first.mig.profile}" if first.mig else name


def _said(true: bool) -> str:
    return "true" if true else "false"
