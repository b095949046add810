"""What one resource tells the kubelet: each replica, and why it must not be used. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from rota.model import Device, Gpu, Resource

WITHDRAWN = "the config no longer has it; it goes when its pod has ended"


@dataclass(frozen=True, slots=True)
class Listing:
    """A resource with the state of its replicas.

    Attributes:
        resource: as the config makes it now.
        states: id → why it is unhealthy, empty where it is well. First the resource's replicas in
            their order, then those which a pod still holds though the config has them no more.
        draining: the ids of the latter.
        numa: id → the NUMA node that its GPU is attached to, where it is known.
    """

    resource: Resource
    states: Mapping[str, str] = field(default_factory=dict)
    draining: frozenset[str] = frozenset()
    numa: Mapping[str, int] = field(default_factory=dict)

    def reason(self, replica_id: str) -> str | None:
        """Why a replica is unhealthy, empty where it is well; None for one that is not listed."""
        return self.states.get(replica_id)


def listing_of(
    resource: Resource,
    ailing: Mapping[str, str],
    held: Iterable[str],
    numa_of: Callable[[Gpu], int | None] = lambda _: None,
) -> Listing:
    """List a resource.

    Args:
        resource: as the config makes it now.
        ailing: UUID → what is wrong with it, of GPUs (all their MIG devices too) or MIG devices.
        held: ids of this resource that pods hold, whether the config still has them or not.
        numa_of: the NUMA node of a GPU, None where it is not known.
    """
    reasons = {device.uuid: _reason(device, ailing) for device in resource.devices}
    states = {r.id: reasons.get(r.device, ailing.get(r.device, "")) for r in resource.replicas}
    draining = frozenset(held).difference(states)
    states.update((id_, WITHDRAWN) for id_ in sorted(draining))
    nodes = {device.uuid: numa_of(device.gpu) for device in resource.devices}
    places = {r.id: node for r in resource.replicas if (node := nodes.get(r.device)) is not None}
    return Listing(resource, states, draining, places)


def _reason(device: Device, ailing: Mapping[str, str]) -> str:
    return ailing.get(device.gpu.uuid) or ailing.get(device.uuid, "")
