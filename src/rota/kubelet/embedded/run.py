"""One run of the kubelet, from a start or restart to the next, and the admission of pods in it."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass, field
from pathlib import Path

import grpc

from rota.errors import KubeletError
from rota.kubelet.api import deviceplugin_pb2_grpc, podresources_pb2_grpc
from rota.kubelet.embedded import scheduler, sockets
from rota.kubelet.embedded.checkpoint import FILE_NAME
from rota.kubelet.embedded.devices import DeviceManager
from rota.kubelet.embedded.events import Journal
from rota.kubelet.embedded.plugins import Plugins, RegistrationService
from rota.kubelet.embedded.pod import Pod
from rota.kubelet.embedded.podresources import PodResourcesService
from rota.kubelet.embedded.spec import Timing
from rota.kubelet.embedded.status import PodStatus

SOCKET = "kubelet.sock"


@dataclass(slots=True)
class Node:
    """What outlives a restart of the kubelet: the node's name, its folder, and its pods.

    Attributes:
        name: the node's name.
        folder: the kubelet's folder.
        timing: the kubelet's times.
        journal: what happened.
        pods: by `namespace/name`, in the order in which they came.
        workers: by uid, the tasks of those that were admitted.
    """

    name: str
    folder: Path
    timing: Timing
    journal: Journal = field(default_factory=Journal)
    pods: dict[str, Pod] = field(default_factory=dict)
    workers: dict[str, asyncio.Task[None]] = field(default_factory=dict)

    @property
    def plugin_socket(self) -> Path:
        """Where plugins register."""
        return self.folder / "device-plugins" / SOCKET

    @property
    def pod_resources_socket(self) -> Path:
        """Where PodResources is served."""
        return self.folder / "pod-resources" / SOCKET

    def launch(self, pod: Pod) -> None:
        """Let an admitted pod live its life."""
        self.workers[pod.uid] = asyncio.create_task(pod.run(), name=f"pod {pod.spec.key}")


class Run:
    """What does not outlive a kubelet's process: servers, plugins, the device manager."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._journal = node.journal
        folder = node.plugin_socket.parent
        active = {pod.uid for pod in node.pods.values() if pod.active}
        self.devices = DeviceManager(folder / FILE_NAME, node.journal, node.timing, active)
        self._plugins = Plugins(folder, self.devices, node.journal, node.timing)
        self.admitting: Pod | None = None
        self._servers: list[tuple[grpc.aio.Server, Path]] = []
        self._admission: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """Clean the plugins' folder, serve, and begin to admit pods."""
        path = self._node.plugin_socket
        sockets.clean(path.parent, path.parent / FILE_NAME)
        registration = sockets.new_server()
        service = RegistrationService(self._plugins, self._journal)
        deviceplugin_pb2_grpc.add_RegistrationServicer_to_server(service, registration)  # type: ignore[no-untyped-call]
        await self._serve(registration, path)
        resources = sockets.new_server()
        lister = PodResourcesService(self.devices.ledger, self._active)
        podresources_pb2_grpc.add_PodResourcesListerServicer_to_server(lister, resources)  # type: ignore[no-untyped-call]
        await self._serve(resources, self._node.pod_resources_socket)
        self._admission = asyncio.create_task(self._admit_all(), name="admission")

    async def _serve(self, server: grpc.aio.Server, path: Path) -> None:
        self._servers.append((server, path))
        await sockets.serve(server, path)

    async def close(self) -> None:
        """Stop serving and hang up on all plugins; pods are not touched."""
        if self._admission:
            self._admission.cancel()
            await asyncio.wait([self._admission])
        for server, path in self._servers:
            await server.stop(None)
            with contextlib.suppress(OSError):
                sockets.remove(path)
        await self._plugins.close()
        self.devices.close()

    def _active(self) -> list[PodStatus]:
        return [pod.status() for pod in self._node.pods.values() if pod.active]

    async def _admit_all(self) -> None:
        """Whenever something changed, start those that fit, the oldest first."""
        while True:
            seen = self._journal.rings
            for pod in tuple(self._node.pods.values()):
                if pod.waiting:
                    await self._admit(pod)
            while seen == self._journal.rings:
                await self._journal.changed()

    async def _admit(self, pod: Pod) -> None:
        """Schedule and admit one pod, if it fits; one at a time, as a kubelet does."""
        bound = [p.spec.requests for p in self._node.pods.values() if p.active]
        missing = scheduler.insufficient(
            pod.spec.requests, bound, self.devices.ledger.allocatable()
        )
        if missing:
            pod.wait_for_room(scheduler.sentence(missing))
            return
        self.admitting = pod
        try:
            await self.devices.allocate(pod.uid, pod.spec)
        except KubeletError as error:
            pod.refuse(*_unexpected(error.what))
        except Exception as error:
            pod.refuse(*_unexpected(repr(error)))
        else:
            self._place(pod)
        finally:
            self.admitting = None
            self._journal.ring()

    def _place(self, pod: Pod) -> None:
        if not pod.waiting:
            self.devices.release(pod.uid)
            return
        pod.admit()
        where = f"assigned {pod.spec.key} to {self._node.name}"
        self._journal.note("Scheduled", pod.spec.key, where)
        self._node.launch(pod)


def _unexpected(why: str) -> tuple[str, str]:
    return "UnexpectedAdmissionError", f"Allocate failed due to {why}, which is unexpected"
