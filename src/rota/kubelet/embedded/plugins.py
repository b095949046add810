"""Registration v1beta1, and the streams of those who registered.

A plugin must serve before it registers: like the real one, this kubelet dials it within the call.
The newest registration of a resource wins. Whatever a plugin does wrong ends its own stream only.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from pathlib import Path
from typing import Protocol

import grpc

from rota.errors import KubeletError
from rota.kubelet.api import deviceplugin_pb2 as api
from rota.kubelet.api import deviceplugin_pb2_grpc as services
from rota.kubelet.embedded.endpoint import Endpoint, PluginError
from rota.kubelet.embedded.events import Journal
from rota.kubelet.embedded.names import is_extended_resource
from rota.kubelet.embedded.spec import Timing

VERSION = "v1beta1"


class Devices(Protocol):
    """Who wants to know about plugins: the device manager."""

    def connected(self, endpoint: Endpoint) -> None:
        """A plugin registered; it takes the place of an earlier one."""
        ...

    def listed(self, endpoint: Endpoint, devices: list[api.Device]) -> None:
        """It sent a new list."""
        ...

    def disconnected(self, endpoint: Endpoint) -> None:
        """Its stream ended."""
        ...


def refusal(request: api.RegisterRequest) -> str:
    """Why the kubelet would not even look at the endpoint; empty when it would."""
    if request.version != VERSION:
        asked = json.dumps(request.version)
        return (
            f"requested API version {asked} is not supported by kubelet. "
            f'Supported version is ["{VERSION}"]'
        )
    if not is_extended_resource(request.resource_name):
        return f"the ResourceName {json.dumps(request.resource_name)} is invalid"
    return ""


class Plugins:
    """The registered plugins, each with the task that reads its stream."""

    def __init__(self, folder: Path, devices: Devices, journal: Journal, timing: Timing) -> None:
        self._folder = folder
        self._devices = devices
        self._journal = journal
        self._timing = timing
        self._streams: dict[str, asyncio.Task[None]] = {}
        self._all: set[asyncio.Task[None]] = set()
        self._closed = False

    async def register(self, request: api.RegisterRequest) -> None:
        """Do what the Register call asks.

        Raises:
            KubeletError: refused; the sentence is for the plugin.
        """
        problem = refusal(request)
        if problem:
            raise KubeletError(problem)
        name = request.resource_name
        endpoint = await Endpoint.dial(name, self._folder / request.endpoint, self._timing)
        if self._closed:
            await endpoint.close()
            raise PluginError("the kubelet is stopping")
        former = self._streams.get(name)
        self._devices.connected(endpoint)
        self._journal.note("Registered", name, f"device plugin at {request.endpoint}")
        task = asyncio.create_task(self._follow(endpoint), name=f"plugin {name}")
        self._streams[name] = task
        self._all.add(task)
        task.add_done_callback(self._all.discard)
        if former:
            former.cancel()

    async def _follow(self, endpoint: Endpoint) -> None:
        """Read one plugin's stream to its end."""
        why = "the plugin ended the stream"
        try:
            async for devices in endpoint.watch():
                self._devices.listed(endpoint, devices)
        except PluginError as error:
            why = error.what
        finally:
            self._tell_end(endpoint, why)
            self._devices.disconnected(endpoint)
            await endpoint.close()

    def _tell_end(self, endpoint: Endpoint, why: str) -> None:
        if endpoint.stopped:
            self._journal.note("PluginReplaced", endpoint.resource, "another one registered")
        elif not self._closed:
            text = f"ListAndWatch ended unexpectedly: {why}"
            self._journal.warn("PluginGone", endpoint.resource, text)

    async def close(self) -> None:
        """Hang up on all of them."""
        self._closed = True
        tasks = tuple(self._all)
        for task in tasks:
            task.cancel()
        for task in tasks:
            with contextlib.suppress(asyncio.CancelledError):
                await task
        self._streams.clear()


class RegistrationService(services.RegistrationServicer):
    """The one call that plugins make."""

    def __init__(self, plugins: Plugins, journal: Journal) -> None:
        self._plugins = plugins
        self._journal = journal

    async def Register(  # noqa: N802 - the protocol's name
        self,
        request: api.RegisterRequest,
        context: grpc.aio.ServicerContext[api.RegisterRequest, api.Empty],
    ) -> api.Empty:
        """Take a plugin in, or say why not; Go gives such errors the code Unknown."""
        try:
            await self._plugins.register(request)
        except KubeletError as error:
            about = request.resource_name or "a plugin without a resource"
            self._journal.warn("RegistrationRefused", about, str(error))
            await context.abort(grpc.StatusCode.UNKNOWN, error.what)
        return api.Empty()
