"""Which resource name a device has before anything is shared: NVIDIA's rules, and the patterns.

NVIDIA's plugin (v0.20, internal/rm) puts the entries under `resources` first and its own defaults
after them: every whole GPU is `nvidia.com/gpu`; a MIG device is `nvidia.com/gpu` under the
strategy `single` and `nvidia.com/mig-<profile>` under `mixed`, where `+` becomes `.`. It lets no
release read `resources`, though; Rota does.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from rota.config.schema import MigStrategy, ResourcePattern
from rota.model import Device

GPU = "nvidia.com/gpu"
"""The resource of every GPU for which no pattern says otherwise."""

SHARED_SUFFIX = ".shared"
"""What renameByDefault adds."""


def matches(pattern: str, text: str) -> bool:
    """NVIDIA's patterns: `*` is anything, the rest is itself, and the text may go on on both sides."""
    return re.search(".*".join(map(re.escape, pattern.split("*"))), text) is not None


def named(device: Device) -> str:
    """What patterns are held against: the product of a GPU, the profile of a MIG device."""
    return device.mig.profile if device.mig else device.gpu.product


def resource_of(device: Device, patterns: Iterable[ResourcePattern], strategy: MigStrategy) -> str:
    """The resource's full name, by the first pattern that matches or by default.

    Empty for a MIG device that has no name by default: one whose compute instance is only a part
    of its GPU instance (`1c.3g.40gb`), under `mixed`.
    """
    for entry in patterns:
        if matches(entry.pattern, named(device)):
            return entry.name
    if device.mig is None or strategy == "single":
        return GPU
    if re.match(r"\d+c\.", device.mig.profile):
        return ""
    return f"nvidia.com/mig-{device.mig.profile.replace('+', '.')}"
