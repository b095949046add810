"""Who holds which replicas, as the kubelet tells it (pod resources API, v1)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from rota.kubelet.api.podresources_pb2 import ListPodResourcesRequest, ListPodResourcesResponse
from rota.kubelet.api.podresources_pb2_grpc import PodResourcesListerStub
from rota.kubelet.wire import calling

POD_RESOURCES_SOCKET = Path("/var/lib/kubelet/pod-resources/kubelet.sock")


@dataclass(frozen=True, slots=True)
class PodAllocation:
    """What one container holds of one resource.

    Attributes:
        namespace: the pod's.
        pod: the pod's name.
        container: the container's name.
        resource: full name.
        ids: the devices' ids, replica ids where the resource is shared.
    """

    namespace: str
    pod: str
    container: str
    resource: str
    ids: tuple[str, ...]


async def list_pods(
    socket: Path = POD_RESOURCES_SOCKET, within: float = 2.0
) -> tuple[PodAllocation, ...]:
    """Every container of the node that holds a device.

    Args:
        socket: the kubelet's pod resources socket.
        within: seconds to answer in.

    Raises:
        KubeletError: no such socket, no answer in time, or a kubelet without this API.
    """
    async with calling(socket, "list pod resources") as channel:
        stub = PodResourcesListerStub(channel)  # type: ignore[no-untyped-call]
        response = await stub.List(ListPodResourcesRequest(), timeout=within)
    return _allocations(response)


async def ids_in_use(
    socket: Path = POD_RESOURCES_SOCKET, within: float = 2.0
) -> Mapping[str, frozenset[str]]:
    """Resource → the ids of it that pods hold. Errors as `list_pods`."""
    held: defaultdict[str, set[str]] = defaultdict(set)
    for allocation in await list_pods(socket, within):
        held[allocation.resource].update(allocation.ids)
    return {resource: frozenset(ids) for resource, ids in held.items()}


def _allocations(response: ListPodResourcesResponse) -> tuple[PodAllocation, ...]:
    """The kubelet gives one entry a NUMA node: those of one resource are put together."""
    found: dict[tuple[str, str, str, str], list[str]] = {}
    for pod in response.pod_resources:
        for container in pod.containers:
            for devices in container.devices:
                key = (pod.namespace, pod.name, container.name, devices.resource_name)
                found.setdefault(key, []).extend(devices.device_ids)
    return tuple(PodAllocation(*key, tuple(ids)) for key, ids in found.items())
