"""A kubelet's side of the device plugin API, over real sockets, and things to serve to it."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pytest

from rota.kubelet.api import deviceplugin_pb2 as pb
from rota.kubelet.api.deviceplugin_pb2_grpc import (
    DevicePluginStub,
    RegistrationServicer,
    add_RegistrationServicer_to_server,
)
from rota.model import Device, Gpu, Inventory, MigDevice, Replica, Resource

DEADLINE = 20.0


async def eventually(condition: Callable[[], object], what: str = "") -> None:
    """Wait until something is true; fail when it is not after a long time."""
    loop = asyncio.get_running_loop()
    end = loop.time() + DEADLINE
    while not condition():
        if loop.time() > end:
            pytest.fail(f"not within {DEADLINE:.0f} s: {what or condition}")
        await asyncio.sleep(0.01)


@dataclass
class PlainKubelet(RegistrationServicer):
    """Registers plugins as a stock kubelet does: dials back, then follows the list.

    Attributes:
        folder: the device plugin folder.
        refuse: resource → message for a registration that is to fail.
        requests: every registration, in order.
        lists: resource → every list that came, each as id → health.
        ended: resource → how its streams ended, `OK` or a status.
    """

    folder: Path
    refuse: dict[str, str] = field(default_factory=dict)
    requests: list[pb.RegisterRequest] = field(default_factory=list)
    lists: dict[str, list[dict[str, str]]] = field(default_factory=dict)
    ended: dict[str, list[str]] = field(default_factory=dict)
    _server: Any = None
    _channels: dict[str, grpc.aio.Channel] = field(default_factory=dict)
    _followers: dict[str, asyncio.Task[None]] = field(default_factory=dict)

    async def start(self) -> None:
        """Empty the folder, as a kubelet does, and listen."""
        for path in self.folder.iterdir():
            path.unlink()
        self._server = grpc.aio.server()
        add_RegistrationServicer_to_server(self, self._server)  # type: ignore[no-untyped-call]
        self._server.add_insecure_port(f"unix:{self.folder / 'kubelet.sock'}")
        await self._server.start()

    async def stop(self) -> None:
        """Drop every stream and stop listening."""
        for follower in self._followers.values():
            follower.cancel()
        await asyncio.gather(*self._followers.values(), return_exceptions=True)
        for channel in self._channels.values():
            await channel.close(None)
        self._followers.clear()
        self._channels.clear()
        if self._server:
            await self._server.stop(None)
            self._server = None

    async def restart(self) -> None:
        """As after `systemctl restart kubelet`."""
        await self.stop()
        await self.start()

    async def Register(self, request: pb.RegisterRequest, context: Any) -> pb.Empty:  # noqa: N802
        """The one call of the Registration service."""
        self.requests.append(request)
        name = request.resource_name
        if name in self.refuse:
            await context.abort(grpc.StatusCode.UNKNOWN, self.refuse[name])
        await self.leave(name)
        target = f"unix:{self.folder / request.endpoint}"
        options = [("grpc.use_local_subchannel_pool", 1)]
        channel = grpc.aio.insecure_channel(target, options=options)
        self._channels[name] = channel
        self._followers[name] = asyncio.create_task(self._follow(name))
        return pb.Empty()

    async def leave(self, name: str) -> None:
        """Stop following one resource."""
        if follower := self._followers.pop(name, None):
            follower.cancel()
            await asyncio.gather(follower, return_exceptions=True)
        if channel := self._channels.pop(name, None):
            await channel.close(None)

    def plugin(self, name: str) -> Any:
        """The stub of a registered plugin."""
        return DevicePluginStub(self._channels[name])  # type: ignore[no-untyped-call]

    def now(self, name: str = "nvidia.com/gpu") -> dict[str, str]:
        """The last list of a resource, empty before the first."""
        return (self.lists.get(name) or [{}])[-1]

    def registrations(self, name: str) -> int:
        """How often a resource was registered, refused or not."""
        return sum(request.resource_name == name for request in self.requests)

    async def _follow(self, name: str) -> None:
        lists = self.lists.setdefault(name, [])
        try:
            async for response in self.plugin(name).ListAndWatch(pb.Empty()):
                lists.append({device.ID: device.health for device in response.devices})
            self.ended.setdefault(name, []).append("OK")
        except grpc.aio.AioRpcError as error:
            self.ended.setdefault(name, []).append(error.code().name)


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder whose path is short enough for sockets."""
    path = Path(tempfile.mkdtemp(prefix="rota"))
    yield path
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture
async def late_kubelet(folder: Path) -> AsyncIterator[PlainKubelet]:
    """A kubelet that has not been started."""
    plain = PlainKubelet(folder)
    yield plain
    await plain.stop()


@pytest.fixture
async def kubelet(late_kubelet: PlainKubelet) -> PlainKubelet:
    """A kubelet that listens in the folder."""
    await late_kubelet.start()
    return late_kubelet


@pytest.fixture(name="eventually")
def eventually_fixture() -> Callable[..., Any]:
    """`await eventually(lambda: …)`."""
    return eventually


def make_gpu(index: int, mig: int = 0) -> Gpu:
    """GPU-0, GPU-1, …; with MIG devices MIG-<gpu>-0, …"""
    parts = tuple(
        MigDevice(f"MIG-{index}-{n}", n, "1g.18gb", 1 << 34, n + 7, 0) for n in range(mig)
    )
    return Gpu(
        uuid=f"GPU-{index}",
        index=index,
        minor=index + 4,
        product="NVIDIA H200",
        memory_bytes=1 << 37,
        compute_capability=(9, 0),
        mig_enabled=bool(mig),
        mig_devices=parts,
    )


class Things:
    """What tests serve."""

    inventory = Inventory((make_gpu(0), make_gpu(1)), "580.1", (13, 0))
    mig_inventory = Inventory((make_gpu(0, mig=2),), "580.1", (13, 0))

    def shared(
        self, replicas: int, name: str = "nvidia.com/gpu", gpus: int = 1, *, single: bool = False
    ) -> Resource:
        """Some GPUs with so many replicas each."""
        devices = tuple(Device(gpu) for gpu in self.inventory.gpus[:gpus])
        each = tuple(Replica(d.uuid, n) for d in devices for n in range(replicas))
        return Resource(name, devices, each, "time-slicing", single)

    def whole(self, name: str = "nvidia.com/gpu") -> Resource:
        """Both GPUs, not shared."""
        devices = tuple(map(Device, self.inventory.gpus))
        return Resource(name, devices, tuple(Replica(device.uuid) for device in devices))

    def mig(self, name: str = "nvidia.com/mig-1g.18gb") -> Resource:
        """Two MIG devices of GPU-0."""
        (gpu,) = self.mig_inventory.gpus
        devices = tuple(Device(gpu, part) for part in gpu.mig_devices)
        return Resource(name, devices, tuple(Replica(device.uuid) for device in devices))


@pytest.fixture
def things() -> Things:
    """Resources and inventories."""
    return Things()
