"""Which devices there are, how they fare, and who holds them. No gRPC calls, no clock, no files.

Counts follow the kubelet: capacity is every device that a plugin listed, allocatable those that it
called Healthy. A pod keeps what it holds, whatever becomes of the device or of its plugin.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from rota.errors import KubeletError
from rota.kubelet.api import deviceplugin_pb2 as api
from rota.kubelet.embedded.checkpoint import NO_NODE, Checkpoint, Entry
from rota.kubelet.embedded.status import Given

HEALTHY = "Healthy"


class CannotAllocate(KubeletError):
    """There are not enough devices in a fit state; the words are the kubelet's."""


@dataclass(slots=True)
class _Table:
    """One resource: its devices in the order of the plugin's last list."""

    devices: dict[str, api.Device] = field(default_factory=dict)
    healthy: set[str] = field(default_factory=set)


class Ledger:
    """Devices by resource, and the entries of pods that hold some."""

    def __init__(self, remembered: Checkpoint | None = None) -> None:
        """Start from a checkpoint: resources are known by name but empty until a plugin comes."""
        self._tables: dict[str, _Table] = {}
        self._held: dict[tuple[str, str, str], Entry] = {}
        if remembered:
            self._tables = {name: _Table() for name in remembered.registered or {}}
            self._held = {(e.pod_uid, e.container, e.resource): e for e in remembered.entries}

    def set_devices(self, resource: str, devices: Iterable[api.Device]) -> tuple[str, ...]:
        """Take a plugin's new list in place of the old one.

        Returns:
            What is odd about it, for a warning: of an id given twice the last one counts, and a
            health that is not in the protocol is unhealthy.
        """
        table = _Table()
        oddities = []
        for device in devices:
            if device.ID in table.devices:
                oddities.append(f"device {device.ID!r} is listed twice")
            if device.health not in (HEALTHY, "Unhealthy"):
                oddities.append(f"device {device.ID!r} has the unknown health {device.health!r}")
            table.devices[device.ID] = device
        table.healthy = {i for i, d in table.devices.items() if d.health == HEALTHY}
        self._tables[resource] = table
        return tuple(oddities)

    def lose(self, resource: str) -> None:
        """Its plugin is gone: every device is unhealthy, the capacity stays."""
        if resource in self._tables:
            self._tables[resource].healthy.clear()

    def forget(self, resource: str) -> None:
        """Its plugin did not come back: the node has no such resource any more."""
        self._tables.pop(resource, None)

    def capacity(self) -> dict[str, int]:
        """Resource → number of devices."""
        return {name: len(table.devices) for name, table in sorted(self._tables.items())}

    def allocatable(self) -> dict[str, int]:
        """Resource → number of healthy devices."""
        return {name: len(table.healthy) for name, table in sorted(self._tables.items())}

    def healthy(self) -> dict[str, tuple[api.Device, ...]]:
        """Resource → its healthy devices, in the plugin's order."""
        return {
            name: tuple(d for i, d in table.devices.items() if i in table.healthy)
            for name, table in sorted(self._tables.items())
        }

    def free(self, resource: str, needed: int, reusable: Sequence[str] = ()) -> tuple[str, ...]:
        """Healthy devices that nobody holds, in the plugin's order.

        Args:
            resource: which.
            needed: how many must be there, those of `reusable` counted.
            reusable: devices of the pod's init containers, which it may use again.

        Raises:
            CannotAllocate: the resource is unknown, or has too few.
        """
        table = self._tables.get(resource)
        if table is None:
            raise CannotAllocate(f"cannot allocate unregistered device {resource}")
        if not table.healthy:
            raise CannotAllocate(
                f"no healthy devices present; cannot allocate unhealthy devices {resource}"
            )
        taken = {i for e in self._held.values() if e.resource == resource for i in e.ids}
        free = tuple(i for i in table.devices if i in table.healthy and i not in taken)
        needed -= min(needed, len(reusable))
        if len(free) < needed:
            raise CannotAllocate(
                f"requested number of devices unavailable for {resource}. "
                f"Requested: {needed}, Available: {len(free)}"
            )
        return free

    def hold(
        self,
        pod_uid: str,
        container: str,
        resource: str,
        ids: Sequence[str],
        response: api.ContainerAllocateResponse,
    ) -> None:
        """From now on these devices belong to the container."""
        by_node: dict[int, tuple[str, ...]] = {}
        devices = self._tables[resource].devices if resource in self._tables else {}
        for device_id in ids:
            device = devices.get(device_id)
            nodes = [node.ID for node in device.topology.nodes] if device else []
            for node in nodes or [NO_NODE]:
                by_node[node] = (*by_node.get(node, ()), device_id)
        entry = Entry(pod_uid, container, resource, by_node, response.SerializeToString())
        self._held[pod_uid, container, resource] = entry

    def release(self, pod_uids: Iterable[str]) -> bool:
        """These pods are over. False when they held nothing."""
        gone = set(pod_uids)
        before = len(self._held)
        self._held = {key: e for key, e in self._held.items() if e.pod_uid not in gone}
        return len(self._held) < before

    def held(self, pod_uid: str, container: str) -> tuple[Entry, ...]:
        """What a container holds, by resource name."""
        found = (e for e in self._held.values() if (e.pod_uid, e.container) == (pod_uid, container))
        return tuple(sorted(found, key=lambda entry: entry.resource))

    def holders(self) -> frozenset[str]:
        """Uids of the pods that hold something."""
        return frozenset(entry.pod_uid for entry in self._held.values())

    def entries(self) -> tuple[Entry, ...]:
        """All of it, for the checkpoint."""
        return tuple(self._held.values())

    def registered(self) -> Mapping[str, frozenset[str]]:
        """Resource → healthy devices, for the checkpoint."""
        return {name: frozenset(table.healthy) for name, table in self._tables.items()}


def given(entries: Iterable[Entry]) -> Given:
    """What a container's entries add up to. Of a variable given twice the later resource wins."""
    whole = api.ContainerAllocateResponse()
    devices: dict[str, tuple[str, ...]] = {}
    for entry in entries:
        whole.MergeFrom(api.ContainerAllocateResponse.FromString(entry.response))
        devices[entry.resource] = entry.ids
    return Given(
        devices=devices,
        env=dict(whole.envs),
        mounts=tuple((m.container_path, m.host_path, m.read_only) for m in whole.mounts),
        device_nodes=tuple((d.container_path, d.host_path, d.permissions) for d in whole.devices),
        annotations=dict(whole.annotations),
        cdi_devices=tuple(device.name for device in whole.cdi_devices),
    )
