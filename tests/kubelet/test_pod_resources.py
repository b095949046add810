"""Asking a kubelet who holds what, over a real socket."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pytest

from rota.errors import KubeletError
from rota.kubelet.api import podresources_pb2 as pb
from rota.kubelet.api.podresources_pb2_grpc import (
    PodResourcesListerServicer,
    add_PodResourcesListerServicer_to_server,
)
from rota.kubelet.pod_resources import PodAllocation, ids_in_use, list_pods

Serve = Callable[[PodResourcesListerServicer], Any]


@pytest.fixture
async def serve(folder: Path) -> AsyncIterator[Serve]:
    """Serves pod resources on `kubelet.sock`."""
    server = grpc.aio.server()

    async def start(servicer: PodResourcesListerServicer) -> Path:
        add_PodResourcesListerServicer_to_server(servicer, server)  # type: ignore[no-untyped-call]
        server.add_insecure_port(f"unix:{folder}/kubelet.sock")
        await server.start()
        return folder / "kubelet.sock"

    yield start
    await server.stop(None)


class Lister(PodResourcesListerServicer):
    """Two pods: one on two NUMA nodes, one without devices."""

    async def List(self, request: Any, context: Any) -> pb.ListPodResourcesResponse:  # noqa: N802
        response = pb.ListPodResourcesResponse()
        pod = response.pod_resources.add(name="train", namespace="ml")
        main = pod.containers.add(name="main")
        main.devices.add(resource_name="nvidia.com/gpu", device_ids=["GPU-0::1"])
        main.devices.add(resource_name="nvidia.com/gpu", device_ids=["GPU-1::0"])
        main.devices.add(resource_name="example.org/nic", device_ids=["eth1"])
        side = pod.containers.add(name="side")
        side.devices.add(resource_name="nvidia.com/gpu", device_ids=["GPU-0::2"])
        response.pod_resources.add(name="web", namespace="www").containers.add(name="main")
        return response


async def test_every_container_with_its_devices(serve: Serve) -> None:
    socket = await serve(Lister())
    assert await list_pods(socket) == (
        PodAllocation("ml", "train", "main", "nvidia.com/gpu", ("GPU-0::1", "GPU-1::0")),
        PodAllocation("ml", "train", "main", "example.org/nic", ("eth1",)),
        PodAllocation("ml", "train", "side", "nvidia.com/gpu", ("GPU-0::2",)),
    )
    assert await ids_in_use(socket) == {
        "nvidia.com/gpu": {"GPU-0::1", "GPU-1::0", "GPU-0::2"},
        "example.org/nic": {"eth1"},
    }


async def test_no_socket_is_said(folder: Path) -> None:
    with pytest.raises(KubeletError, match="cannot list pod resources: no such socket"):
        await list_pods(folder / "kubelet.sock")


async def test_a_kubelet_that_does_not_answer_in_time_is_said(serve: Serve) -> None:
    class Asleep(PodResourcesListerServicer):
        async def List(self, request: Any, context: Any) -> None:  # noqa: N802
            await asyncio.Event().wait()

    with pytest.raises(KubeletError, match="cannot list pod resources: deadline exceeded"):
        await list_pods(await serve(Asleep()), within=0.2)


async def test_a_dead_socket_and_a_kubelet_without_this_api_are_said(
    serve: Serve, folder: Path
) -> None:
    (folder / "dead.sock").touch()
    with pytest.raises(KubeletError, match="cannot list pod resources: unavailable"):
        await list_pods(folder / "dead.sock")
    server = grpc.aio.server()
    server.add_insecure_port(f"unix:{folder}/other.sock")
    await server.start()
    with pytest.raises(KubeletError, match="cannot list pod resources: unimplemented"):
        await list_pods(folder / "other.sock", within=20)
    await server.stop(None)
