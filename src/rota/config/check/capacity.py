"""The most that one node can offer under a config, without knowing the node."""

from __future__ import annotations

from dataclasses import dataclass

from rota.config.schema import Config, SharedResource

MOST_GPUS = 16
"""GPUs of the largest node that one buys (HGX H100 and A100 systems with 16)."""

MIG_PER_GPU = 7
"""MIG instances that one GPU can be cut into, at most."""

WHOLE = "nvidia.com/gpu"
MIG_PREFIX = "nvidia.com/mig-"


@dataclass(frozen=True, slots=True)
class Offer:
    """One resource that a config serves.

    Attributes:
        resource: its full name.
        most: replicas (or whole devices) of it that a node can have.
        reason: where `most` comes from, for a message.
        shared: how many of them are replicas; the others are whole devices beside them.
        per_device: replicas of one device; 1 where it is not shared.
        single: a container may ask for one only.
    """

    resource: str
    most: int
    reason: str
    shared: int = 0
    per_device: int = 1
    single: bool = False


def offers(config: Config) -> dict[str, Offer]:
    """Resource name → what the config serves under it."""
    made = {name: offer for name in _names(config) if (offer := _whole(name, config)).most}
    for entry in config.sharing.resources:
        offer = _shared(entry, config)
        old = made.get(offer.resource)
        made[offer.resource] = _together(old, offer, entry) if old else offer
    return made


def served_as(entry: SharedResource, config: Config) -> str:
    """The name under which an entry's replicas are served."""
    if entry.rename:
        return entry.rename
    return f"{entry.name}.shared" if config.sharing.rename_by_default else entry.name


def serves(config: Config, resource: str) -> bool:
    """Whether a node with fitting GPUs has this resource under the config."""
    if resource in offers(config):
        return True
    mixed = config.flags.mig_strategy == "mixed"
    entries = [e for e in config.sharing.resources if e.devices.all]
    taken = any(e.name == resource and served_as(e, config) != resource for e in entries)
    return mixed and resource.startswith(MIG_PREFIX) and not taken


def _names(config: Config) -> list[str]:
    gpus = [pattern.name for pattern in config.gpu_patterns] or [WHOLE]
    return gpus + [pattern.name for pattern in config.mig_patterns]


def _whole(name: str, config: Config) -> Offer:
    """The devices of a resource that no entry shares."""
    entries = [e for e in config.sharing.resources if e.name == name]
    mig = name.startswith(MIG_PREFIX)
    most = MOST_GPUS * MIG_PER_GPU if mig else MOST_GPUS
    left = max(0, most - sum(_chosen(entry, most) for entry in entries))
    if mig:
        return Offer(name, left, f"{MIG_PER_GPU} instances × at most {MOST_GPUS} GPUs a node")
    if left < most:
        return Offer(name, left, f"at most {left} whole GPUs of {MOST_GPUS}")
    return Offer(name, left, f"not shared, and a node has at most {MOST_GPUS} GPUs")


def _chosen(entry: SharedResource, most: int) -> int:
    selection = entry.devices
    return most if selection.all else min(most, selection.count or len(selection.items))


def _shared(entry: SharedResource, config: Config) -> Offer:
    mig = MIG_PER_GPU if entry.name.startswith(MIG_PREFIX) else 1
    selection = entry.devices
    if selection.all:
        devices, text = MOST_GPUS * mig, f"at most {MOST_GPUS * mig} devices a node"
    else:
        devices = selection.count or len(selection.items)
        text = f"{devices} chosen device{'s' if devices != 1 else ''}"
    return Offer(
        served_as(entry, config),
        entry.replicas * devices,
        f"{entry.replicas} replicas × {text}",
        entry.replicas * devices,
        entry.replicas,
        config.sharing.fail_requests_greater_than_one,
    )


def _together(old: Offer, new: Offer, entry: SharedResource) -> Offer:
    """Two entries under one name: for the same devices the larger serves, else both do."""
    if entry.devices.all:
        return max(old, new, key=lambda offer: offer.most)
    most = old.most + new.most
    single = old.single or new.single
    per_device = max(old.per_device, new.per_device)
    shared = old.shared + new.shared
    reason = f"{new.reason}, and {old.reason}"
    return Offer(new.resource, most, reason, shared, per_device, single)
