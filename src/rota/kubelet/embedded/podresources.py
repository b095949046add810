"""PodResources v1: which container of which pod holds which device, for those who watch a node."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import grpc

from rota.kubelet.api import podresources_pb2 as api
from rota.kubelet.api import podresources_pb2_grpc as services
from rota.kubelet.embedded.checkpoint import NO_NODE, Entry
from rota.kubelet.embedded.ledger import Ledger
from rota.kubelet.embedded.status import PodStatus

_Context = grpc.aio.ServicerContext


class PodResourcesService(services.PodResourcesListerServicer):
    """Answers from the ledger and the kubelet's pods, as they are at that moment."""

    def __init__(self, ledger: Ledger, pods: Callable[[], Sequence[PodStatus]]) -> None:
        """`pods` gives the pods that the node has and that are not over."""
        self._ledger = ledger
        self._pods = pods

    async def List(  # noqa: N802 - the protocol's name
        self,
        request: api.ListPodResourcesRequest,
        context: _Context[api.ListPodResourcesRequest, api.ListPodResourcesResponse],
    ) -> api.ListPodResourcesResponse:
        """Every active pod of the node, also those without devices."""
        return api.ListPodResourcesResponse(pod_resources=map(self._resources, self._pods()))

    async def Get(  # noqa: N802 - the protocol's name
        self,
        request: api.GetPodResourcesRequest,
        context: _Context[api.GetPodResourcesRequest, api.GetPodResourcesResponse],
    ) -> api.GetPodResourcesResponse:
        """One pod by name; Go gives an unknown one the code Unknown."""
        for pod in self._pods():
            if (pod.namespace, pod.name) == (request.pod_namespace, request.pod_name):
                return api.GetPodResourcesResponse(pod_resources=self._resources(pod))
        return await context.abort(
            grpc.StatusCode.UNKNOWN,
            f"pod {request.pod_name} in namespace {request.pod_namespace} not found",
        )

    async def GetAllocatableResources(  # noqa: N802 - the protocol's name
        self,
        request: api.AllocatableResourcesRequest,
        context: _Context[api.AllocatableResourcesRequest, api.AllocatableResourcesResponse],
    ) -> api.AllocatableResourcesResponse:
        """Every healthy device, held or not."""
        devices = (
            one
            for resource, healthy in self._ledger.healthy().items()
            for device in healthy
            for one in _devices(
                resource,
                device.ID,
                [node.ID for node in device.topology.nodes]
                if device.HasField("topology")
                else [NO_NODE],
            )
        )
        return api.AllocatableResourcesResponse(devices=devices)

    def _resources(self, pod: PodStatus) -> api.PodResources:
        containers = [
            api.ContainerResources(
                name=container.name,
                devices=(
                    one
                    for entry in self._ledger.held(pod.uid, container.name)
                    for one in _of_entry(entry)
                ),
            )
            for container in pod.spec.containers
        ]
        return api.PodResources(name=pod.name, namespace=pod.namespace, containers=containers)


def _of_entry(entry: Entry) -> Iterator[api.ContainerDevices]:
    for device in entry.ids:
        nodes = [node for node, ids in entry.devices.items() if device in ids]
        yield from _devices(entry.resource, device, nodes)


def _devices(resource: str, device: str, nodes: Sequence[int]) -> Iterator[api.ContainerDevices]:
    """One message a device and NUMA node: the kubelet does not gather a resource's ids."""
    for node in nodes:
        one = api.ContainerDevices(resource_name=resource, device_ids=[device])
        if node != NO_NODE:
            one.topology.nodes.add(ID=node)
        yield one
