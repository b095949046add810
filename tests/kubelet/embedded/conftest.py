"""A node in a short folder, and a device plugin that does as it is told."""

from __future__ import annotations

import asyncio
import shutil
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf import json_format

from rota.kubelet.api import deviceplugin_pb2 as api
from rota.kubelet.api import deviceplugin_pb2_grpc as services
from rota.kubelet.embedded import ContainerSpec, EmbeddedKubelet, PodSpec, Timing

GPU = "nvidia.com/gpu"
PATIENCE = 30.0
QUICK = Timing(backoff_first=0.05, backoff_longest=0.1)


class FakePlugin(services.DevicePluginServicer):
    """Serves one resource. Attributes may be changed while it serves."""

    def __init__(self, folder: Path, resource: str, ids: Sequence[str], endpoint: str) -> None:
        self.folder = folder
        self.resource = resource
        self.endpoint = endpoint
        self.devices = [api.Device(ID=i, health="Healthy") for i in ids]
        self.options = api.DevicePluginOptions()
        self.preferred: Sequence[str] | None = None
        self.refuse: Mapping[str, str] = {}
        self.hang: set[str] = set()
        self.answer_nothing = False
        self.env: Mapping[str, str] = {"FROM_PLUGIN": "yes"}
        self.calls: list[tuple[str, Any]] = []
        self.streams = 0
        self._changed = asyncio.Event()
        self._server: grpc.aio.Server | None = None

    async def serve(self) -> None:
        self._server = grpc.aio.server()
        services.add_DevicePluginServicer_to_server(self, self._server)  # type: ignore[no-untyped-call]
        self._server.add_insecure_port(f"unix:{self.folder / self.endpoint}")
        await self._server.start()

    async def register(self, **changes: str) -> None:
        fields = {"version": "v1beta1", "endpoint": self.endpoint, "resource_name": self.resource}
        async with grpc.aio.insecure_channel(
            f"unix:{self.folder / 'kubelet.sock'}", options=[("grpc.use_local_subchannel_pool", 1)]
        ) as channel:
            stub: Any = services.RegistrationStub(channel)  # type: ignore[no-untyped-call]
            request = json_format.ParseDict({**fields, **changes}, api.RegisterRequest())
            await stub.Register(request, timeout=PATIENCE)

    async def start(self) -> None:
        await self.serve()
        await self.register()

    async def die(self) -> None:
        if self._server:
            await self._server.stop(None)
            self._server = None

    def send(self, *devices: tuple[str, str]) -> None:
        self.devices = [api.Device(ID=i, health=health) for i, health in devices]
        self._changed.set()

    async def _called(self, name: str, request: Any, context: Any) -> None:
        self.calls.append((name, request))
        if name in self.hang:
            await asyncio.sleep(PATIENCE * 2)
        if name in self.refuse:
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, self.refuse[name])

    def asked(self, name: str) -> list[Any]:
        return [request for called, request in self.calls if called == name]

    async def GetDevicePluginOptions(self, request: Any, context: Any) -> api.DevicePluginOptions:  # noqa: N802
        await self._called("GetDevicePluginOptions", request, context)
        return self.options

    async def ListAndWatch(  # noqa: N802
        self, request: Any, context: Any
    ) -> AsyncIterator[api.ListAndWatchResponse]:
        self.streams += 1
        try:
            while True:
                self._changed.clear()
                yield api.ListAndWatchResponse(devices=self.devices)
                await self._changed.wait()
                if "ListAndWatch" in self.refuse:
                    await context.abort(grpc.StatusCode.INTERNAL, self.refuse["ListAndWatch"])
        finally:
            self.streams -= 1

    async def GetPreferredAllocation(  # noqa: N802
        self, request: Any, context: Any
    ) -> api.PreferredAllocationResponse:
        await self._called("GetPreferredAllocation", request, context)
        if self.preferred is None:
            return api.PreferredAllocationResponse()
        response = api.ContainerPreferredAllocationResponse(deviceIDs=self.preferred)
        return api.PreferredAllocationResponse(container_responses=[response])

    async def Allocate(self, request: Any, context: Any) -> api.AllocateResponse:  # noqa: N802
        await self._called("Allocate", request, context)
        if self.answer_nothing:
            return api.AllocateResponse()
        ids = ",".join(request.container_requests[0].devices_ids)
        return api.AllocateResponse(
            container_responses=[
                api.ContainerAllocateResponse(
                    envs={"VISIBLE": ids, **self.env},
                    mounts=[api.Mount(container_path="/c", host_path="/h", read_only=True)],
                    devices=[api.DeviceSpec(container_path="/d", host_path="/e", permissions="rw")],
                    annotations={"note": "x"},
                    cdi_devices=[api.CDIDevice(name="a.b/c=d")],
                )
            ]
        )

    async def PreStartContainer(  # noqa: N802
        self, request: Any, context: Any
    ) -> api.PreStartContainerResponse:
        await self._called("PreStartContainer", request, context)
        return api.PreStartContainerResponse()


MakeKubelet = Callable[..., Awaitable[EmbeddedKubelet]]
MakePlugin = Callable[..., FakePlugin]


@pytest.fixture
def folder() -> Iterator[Path]:
    """Short, since a socket's path has at most 107 bytes."""
    path = Path(tempfile.mkdtemp(prefix="rota-ek-", dir="/tmp"))
    yield path
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture
async def make_kubelet(folder: Path) -> AsyncIterator[MakeKubelet]:
    """Starts a kubelet; all are stopped with the test."""
    made: list[EmbeddedKubelet] = []

    async def make(**arguments: Any) -> EmbeddedKubelet:
        kubelet = EmbeddedKubelet(folder, **{"timing": QUICK, **arguments})
        made.append(kubelet)
        await kubelet.start()
        return kubelet

    yield make
    for kubelet in made:
        await kubelet.stop()


@pytest.fixture
async def kubelet(make_kubelet: MakeKubelet) -> EmbeddedKubelet:
    return await make_kubelet()


@pytest.fixture
async def make_plugin(folder: Path) -> AsyncIterator[MakePlugin]:
    """Makes plugins that serve nothing yet; all die with the test."""
    made: list[FakePlugin] = []

    def make(
        ids: Sequence[str] = ("g0", "g1", "g2", "g3"), resource: str = GPU, endpoint: str = "p.sock"
    ) -> FakePlugin:
        made.append(FakePlugin(folder / "device-plugins", resource, ids, endpoint))
        return made[-1]

    yield make
    for plugin in made:
        await plugin.die()


@pytest.fixture
async def plugin(kubelet: EmbeddedKubelet, make_plugin: MakePlugin) -> FakePlugin:
    """A plugin with four devices that the kubelet knows."""
    plugin = make_plugin()
    await plugin.start()
    await kubelet.wait_until(lambda: kubelet.allocatable().get(GPU) == 4, PATIENCE)
    return plugin


SLEEP = ("sleep", "1000")


@pytest.fixture
def pod() -> Callable[..., PodSpec]:
    """A pod of one container `main` that asks for `gpus` devices."""

    def make(
        name: str = "p", gpus: int = 0, command: Sequence[str] = SLEEP, **rest: Any
    ) -> PodSpec:
        env = rest.pop("env", {})
        cwd = rest.pop("cwd", "")
        limits = {GPU: gpus} if gpus else {}
        container = ContainerSpec("main", tuple(command), env=env, limits=limits, cwd=cwd)
        return PodSpec(name, (container,), **{"restart_policy": "Never", **rest})

    return make


@pytest.fixture
def python() -> Callable[[str], tuple[str, ...]]:
    """The command that runs a piece of Python."""
    return lambda code: (sys.executable, "-I", "-S", "-c", code)


@pytest.fixture
def eventually() -> Callable[[Callable[[], Any]], Awaitable[Any]]:
    """Waits for what rings no bell, such as a file or the end of a stranger's process."""

    async def wait(predicate: Callable[[], Any]) -> Any:
        deadline = time.monotonic() + PATIENCE
        while not (result := predicate()):
            assert time.monotonic() < deadline, "it did not come about"
            await asyncio.sleep(0.02)
        return result

    return wait


@pytest.fixture
def gone() -> Callable[[int], bool]:
    """Whether a process is no more, or only a zombie that waits for its parent."""

    def is_gone(pid: int) -> bool:
        try:
            stat = Path(f"/proc/{pid}/stat").read_text()
        except (FileNotFoundError, ProcessLookupError):
            return True
        return stat.rpartition(")")[2].split()[0] in "ZX"

    return is_gone
