"""One registered plugin as the kubelet sees it: a channel, the calls, and errors in Go's words.

People meet these errors in pod statuses on real nodes, so they read the same here.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import grpc

from rota.errors import KubeletError
from rota.kubelet.api import deviceplugin_pb2 as api
from rota.kubelet.api import deviceplugin_pb2_grpc as services
from rota.kubelet.embedded import sockets
from rota.kubelet.embedded.spec import Timing

T = TypeVar("T")

HUNG_UP = "rpc error: code = Canceled desc = grpc: the client connection is closing"
"""A call that was under way when its channel was closed. grpc.aio lets it look as if the caller
itself had been cancelled."""


class PluginError(KubeletError):
    """A plugin refused, hung, or is gone."""


def go_error(error: grpc.RpcError) -> str:
    """`rpc error: code = InvalidArgument desc = …`, as the kubelet prints it."""
    code = getattr(error, "code", lambda: grpc.StatusCode.UNKNOWN)() or grpc.StatusCode.UNKNOWN
    details = getattr(error, "details", lambda: str(error))()
    name = "".join(part.title() for part in code.name.split("_"))
    return f"rpc error: code = {name.replace('Cancelled', 'Canceled')} desc = {details or ''}"


class Endpoint:
    """A plugin for one resource. `Endpoint.dial` makes one that answers."""

    def __init__(self, resource: str, channel: grpc.aio.Channel, timing: Timing) -> None:
        self.resource = resource
        self.stopped = False
        self.options = api.DevicePluginOptions()
        self._channel = channel
        self._timing = timing
        self._stub: Any = services.DevicePluginStub(channel)  # type: ignore[no-untyped-call]

    @classmethod
    async def dial(cls, resource: str, path: Path, timing: Timing) -> Endpoint:
        """Connect to the plugin's socket and ask for its options.

        Raises:
            PluginError: it does not listen there in time, or does not answer.
        """
        try:
            channel = sockets.dial(path)
        except KubeletError as error:
            raise PluginError(f"failed to dial device plugin: {error}") from None
        endpoint = cls(resource, channel, timing)
        try:
            await endpoint._connect(path)
        except BaseException:
            await endpoint.close()
            raise
        return endpoint

    async def _connect(self, path: Path) -> None:
        try:
            await asyncio.wait_for(self._channel.channel_ready(), self._timing.dial_deadline)
        except TimeoutError:
            raise PluginError(
                "failed to dial device plugin: context deadline exceeded", where=str(path)
            ) from None
        asked = self._stub.GetDevicePluginOptions(api.Empty(), timeout=self._timing.dial_deadline)
        self.options = await _said(asked, "failed to get device plugin options: ")

    async def watch(self) -> AsyncIterator[list[api.Device]]:
        """The plugin's lists as they come.

        Raises:
            PluginError: the stream broke; a plugin that ends it itself just ends it.
        """
        try:
            async for response in self._stub.ListAndWatch(api.Empty()):
                yield list(response.devices)
        except grpc.RpcError as error:
            raise PluginError(go_error(error)) from None

    async def prefer(self, free: Sequence[str], must: Sequence[str], size: int) -> list[str]:
        """Ask which devices the plugin would rather give; empty when it does not say.

        Raises:
            PluginError: it refused or hangs.
        """
        if not self.options.get_preferred_allocation_available or self.stopped:
            return []
        request = api.ContainerPreferredAllocationRequest(
            available_deviceIDs=[*free, *must], must_include_deviceIDs=must, allocation_size=size
        )
        asked = self._stub.GetPreferredAllocation(
            api.PreferredAllocationRequest(container_requests=[request]),
            timeout=self._timing.call_deadline,
        )
        answer = await _said(asked, "device plugin GetPreferredAllocation rpc failed with err: ")
        return list(answer.container_responses[0].deviceIDs) if answer.container_responses else []

    async def allocate(self, ids: Sequence[str]) -> api.ContainerAllocateResponse:
        """Tell the plugin that a container gets these devices.

        Raises:
            PluginError: it refused, hangs, is gone, or gave an answer for no container.
        """
        if self.stopped:
            raise PluginError(f"endpoint {self.resource} has been stopped")
        request = api.ContainerAllocateRequest(devices_ids=ids)
        asked = self._stub.Allocate(
            api.AllocateRequest(container_requests=[request]), timeout=self._timing.call_deadline
        )
        answer: api.AllocateResponse = await _said(asked)
        if not answer.container_responses:
            raise PluginError(f"no containers return in allocation response {answer}")
        return answer.container_responses[0]

    async def prestart(self, ids: Sequence[str]) -> None:
        """Tell the plugin that the container starts now, where it asked to be told.

        Raises:
            PluginError: it refused or hangs.
        """
        if not self.options.pre_start_required:
            return
        if self.stopped:
            raise PluginError(f"endpoint {self.resource} has been stopped")
        asked = self._stub.PreStartContainer(
            api.PreStartContainerRequest(devices_ids=ids), timeout=self._timing.prestart_deadline
        )
        await _said(asked, "device plugin PreStartContainer rpc failed with err: ")

    async def close(self) -> None:
        """Hang up. Twice is once."""
        self.stopped = True
        await self._channel.close(None)


async def _said(asked: Awaitable[T], prefix: str = "") -> T:
    try:
        return await asked
    except grpc.RpcError as error:
        raise PluginError(prefix + go_error(error)) from None
    except asyncio.CancelledError:
        task = asyncio.current_task()
        if task and task.cancelling():
            raise
        raise PluginError(f"{prefix}{HUNG_UP}") from None
