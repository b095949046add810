"""PodResources v1 over its socket."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import TYPE_CHECKING, Any

import grpc
import pytest

from rota.kubelet.api import deviceplugin_pb2, podresources_pb2_grpc
from rota.kubelet.api import podresources_pb2 as api
from rota.kubelet.embedded import EmbeddedKubelet, PodSpec

if TYPE_CHECKING:
    from tests.kubelet.embedded.conftest import FakePlugin

    MakePod = Callable[..., PodSpec]

GPU = "nvidia.com/gpu"
PATIENCE = 30.0


@pytest.fixture
async def lister(kubelet: EmbeddedKubelet) -> AsyncIterator[Any]:
    async with grpc.aio.insecure_channel(f"unix:{kubelet.pod_resources_socket}") as channel:
        yield podresources_pb2_grpc.PodResourcesListerStub(channel)  # type: ignore[no-untyped-call]


async def running(kubelet: EmbeddedKubelet, spec: PodSpec) -> None:
    kubelet.add_pod(spec)
    await kubelet.wait_until(
        lambda: kubelet.pod(spec.namespace, spec.name).phase == "Running", PATIENCE
    )


def ids(devices: Any) -> list[tuple[str, list[str], list[int]]]:
    return [
        (d.resource_name, list(d.device_ids), [node.ID for node in d.topology.nodes])
        for d in devices
    ]


async def test_list_names_every_running_pod_with_one_entry_a_device(
    kubelet: EmbeddedKubelet, plugin: FakePlugin, lister: Any, pod: MakePod
) -> None:
    await running(kubelet, pod("p", 2, namespace="team"))
    await running(kubelet, pod("plain"))
    kubelet.add_pod(pod("waits", 4))
    answer = await lister.List(api.ListPodResourcesRequest())
    one, two = answer.pod_resources
    assert (one.namespace, one.name, one.containers[0].name) == ("team", "p", "main")
    assert ids(one.containers[0].devices) == [(GPU, ["g0"], []), (GPU, ["g1"], [])]
    assert (two.namespace, two.name, ids(two.containers[0].devices)) == ("default", "plain", [])


async def test_a_pod_that_has_ended_is_not_listed(
    kubelet: EmbeddedKubelet, plugin: FakePlugin, lister: Any, pod: MakePod
) -> None:
    kubelet.add_pod(pod("p", 1, ("true",)))
    await kubelet.wait_until(lambda: kubelet.pod("default", "p").over, PATIENCE)
    assert not (await lister.List(api.ListPodResourcesRequest())).pod_resources


async def test_get_gives_one_pod_or_says_that_there_is_none(
    kubelet: EmbeddedKubelet, plugin: FakePlugin, lister: Any, pod: MakePod
) -> None:
    await running(kubelet, pod("p", 1))
    answer = await lister.Get(api.GetPodResourcesRequest(pod_name="p", pod_namespace="default"))
    assert ids(answer.pod_resources.containers[0].devices) == [(GPU, ["g0"], [])]
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await lister.Get(api.GetPodResourcesRequest(pod_name="q", pod_namespace="default"))
    assert caught.value.code() == grpc.StatusCode.UNKNOWN
    assert caught.value.details() == "pod q in namespace default not found"


async def test_allocatable_resources_are_the_healthy_devices_with_their_numa_nodes(
    kubelet: EmbeddedKubelet, plugin: FakePlugin, lister: Any, pod: MakePod
) -> None:
    await running(kubelet, pod("p", 1))
    plugin.send(("a", "Healthy"), ("b", "Unhealthy"), ("c", "Healthy"))
    nodes = [deviceplugin_pb2.NUMANode(ID=0), deviceplugin_pb2.NUMANode(ID=1)]
    plugin.devices[2].topology.nodes.extend(nodes)
    await kubelet.wait_until(lambda: kubelet.capacity() == {GPU: 3}, PATIENCE)
    answer = await lister.GetAllocatableResources(api.AllocatableResourcesRequest())
    assert ids(answer.devices) == [(GPU, ["a"], []), (GPU, ["c"], [0]), (GPU, ["c"], [1])]


async def test_after_a_restart_the_same_is_listed_before_any_plugin_is_back(
    kubelet: EmbeddedKubelet, plugin: FakePlugin, lister: Any, pod: MakePod
) -> None:
    await running(kubelet, pod("p", 2))
    before = await lister.List(api.ListPodResourcesRequest())
    await kubelet.restart()
    after = await lister.List(api.ListPodResourcesRequest(), wait_for_ready=True, timeout=PATIENCE)
    assert after == before
