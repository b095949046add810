"""The device plugin service of one resource: protobuf on one side, our words on the other."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable
from typing import Any, NoReturn, Protocol

import grpc
import grpc.aio

from rota.errors import RotaError
from rota.kubelet.allocation import ContainerAllocation, UnfitReplica, UnknownReplica
from rota.kubelet.api import deviceplugin_pb2 as pb
from rota.kubelet.api.deviceplugin_pb2_grpc import DevicePluginServicer
from rota.kubelet.board import Board
from rota.kubelet.driver_files import DriverFault
from rota.kubelet.registration import OPTIONS
from rota.kubelet.rules import Rules

Context = grpc.aio.ServicerContext


class Desk(Protocol):
    """What the service needs to know of the resource behind it, as it is at each moment."""

    board: Board
    rules: Rules

    def allocated(self, ids: Iterable[str]) -> None:
        """These replicas were given to a container."""
        ...

    def refused(self, error: Exception) -> None:
        """A request got no answer: a `RotaError`, or a fault of ours."""
        ...


class Servicer(DevicePluginServicer):
    """Answers the kubelet. One lives as long as one server; the desk outlives it.

    Attributes:
        streams: how many clients watch now.
    """

    def __init__(self, desk: Desk, fault: Callable[[Exception], None], lost: Callable[[], None]):
        """Takes the desk, and what to call on an unexpected error or when a watcher went away."""
        self._desk = desk
        self._fault = fault
        self._lost = lost
        self._closed = False
        self.streams = 0

    def close(self) -> None:
        """End every stream, in order, from our side."""
        self._closed = True
        self._desk.board.ring()

    async def GetDevicePluginOptions(  # noqa: N802
        self, request: pb.Empty, context: Context[Any, Any]
    ) -> pb.DevicePluginOptions:
        """What this plugin can do."""
        return OPTIONS

    async def ListAndWatch(  # noqa: N802
        self, request: pb.Empty, context: Context[Any, Any]
    ) -> AsyncIterator[pb.ListAndWatchResponse]:
        """The replicas now, and again after each change."""
        self.streams += 1
        try:
            async for response in self._desk.board.watch(lambda: self._closed):
                yield response
        except Exception as error:
            self._fault(error)
            raise
        finally:
            self.streams -= 1
            if not self._closed:
                self._lost()

    async def GetPreferredAllocation(  # noqa: N802
        self, request: pb.PreferredAllocationRequest, context: Context[Any, Any]
    ) -> pb.PreferredAllocationResponse:
        """Which of the free replicas each container should get."""
        desk, answer = self._desk, pb.PreferredAllocationResponse()
        try:
            for asked in request.container_requests:
                chosen = desk.rules.prefer(
                    desk.board.chooser,
                    asked.available_deviceIDs,
                    asked.must_include_deviceIDs,
                    asked.allocation_size,
                )
                answer.container_responses.add(deviceIDs=chosen)
        except Exception as error:
            await self._refuse(context, error)
        return answer

    async def Allocate(  # noqa: N802
        self, request: pb.AllocateRequest, context: Context[Any, Any]
    ) -> pb.AllocateResponse:
        """What each container gets for its replicas; all of them, or an error."""
        desk = self._desk
        try:
            given = [
                desk.rules.allocate(desk.board.listing, asked.devices_ids)
                for asked in request.container_requests
            ]
        except Exception as error:
            await self._refuse(context, error)
        for asked in request.container_requests:
            desk.allocated(asked.devices_ids)
        return pb.AllocateResponse(container_responses=map(_message, given))

    async def PreStartContainer(  # noqa: N802
        self, request: pb.PreStartContainerRequest, context: Context[Any, Any]
    ) -> pb.PreStartContainerResponse:
        """Nothing has to be done before a container starts."""
        return pb.PreStartContainerResponse()

    async def _refuse(self, context: Context[Any, Any], error: Exception) -> NoReturn:
        self._desk.refused(error)
        what = str(error) if isinstance(error, RotaError) else f"a fault in the plugin: {error!r}"
        await context.abort(_status(error), what)
        raise AssertionError("abort returns to nobody")


def _status(error: Exception) -> grpc.StatusCode:
    if isinstance(error, UnknownReplica):
        return grpc.StatusCode.NOT_FOUND
    if isinstance(error, UnfitReplica):
        return grpc.StatusCode.FAILED_PRECONDITION
    if isinstance(error, RotaError) and not isinstance(error, DriverFault):
        return grpc.StatusCode.INVALID_ARGUMENT
    return grpc.StatusCode.INTERNAL


def _message(given: ContainerAllocation) -> pb.ContainerAllocateResponse:
    return pb.ContainerAllocateResponse(
        envs=given.envs,
        mounts=[
            pb.Mount(
                container_path=mount.container_path,
                host_path=mount.host_path,
                read_only=mount.read_only,
            )
            for mount in given.mounts
        ],
        devices=[
            pb.DeviceSpec(
                container_path=node.path, host_path=node.host_path, permissions=node.permissions
            )
            for node in given.devices
        ],
        annotations=given.annotations,
        cdi_devices=[pb.CDIDevice(name=name) for name in given.cdi_devices],
    )
