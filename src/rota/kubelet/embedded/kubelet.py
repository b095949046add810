"""The façade: a kubelet and just enough of a scheduler and an API server, in one asyncio program.

It stands in for a node where there is none, for the demo and for tests. What a device plugin, a
monitor or a pod can notice is as on a node; what is behind it is local processes.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import shutil
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

import grpc

from rota.errors import KubeletError
from rota.kubelet.api import deviceplugin_pb2_grpc, podresources_pb2_grpc
from rota.kubelet.embedded import scheduler, sockets
from rota.kubelet.embedded.checkpoint import FILE_NAME
from rota.kubelet.embedded.devices import DeviceManager
from rota.kubelet.embedded.events import Event, Journal
from rota.kubelet.embedded.logs import Logs
from rota.kubelet.embedded.plugins import Plugins, RegistrationService
from rota.kubelet.embedded.pod import House, Pod
from rota.kubelet.embedded.podresources import PodResourcesService
from rota.kubelet.embedded.spec import PodSpec, Timing
from rota.kubelet.embedded.status import PodStatus

T = TypeVar("T")

SOCKET = "kubelet.sock"
SUFFIX_LETTERS = "bcdfghjklmnpqrstvwxz2456789"
"""What Kubernetes makes the ends of pod names of."""


class EmbeddedKubelet:
    """One node's kubelet.

    Attributes:
        folder: as `/var/lib/kubelet` on a node, with the logs of `/var/log` in it.
        node: the node's name.
        timing: the kubelet's times.
    """

    def __init__(
        self,
        folder: Path,
        *,
        node: str = "rota",
        environ: Mapping[str, str] | None = None,
        timing: Timing | None = None,
    ) -> None:
        """Nothing happens before `start`.

        Args:
            folder: made if it is not there. Its sockets' paths must stay below 108 bytes.
            node: the node's name.
            environ: what containers' environments start from; None for that of this process.
            timing: the kubelet's times; None for a real one's.
        """
        self.folder = folder.absolute()
        self.node = node
        self.timing = timing or Timing()
        self._environ = dict(os.environ if environ is None else environ)
        self._journal = Journal()
        self._logs = Logs(self.folder / "logs")
        self._pods: dict[str, Pod] = {}
        self._workers: dict[str, asyncio.Task[None]] = {}
        self._run: _Run | None = None

    @property
    def plugin_socket(self) -> Path:
        """Where plugins register."""
        return self.folder / "device-plugins" / SOCKET

    @property
    def pod_resources_socket(self) -> Path:
        """Where PodResources is served."""
        return self.folder / "pod-resources" / SOCKET

    @property
    def events(self) -> tuple[Event, ...]:
        """What happened last, oldest first."""
        return self._journal.events

    async def start(self) -> None:
        """Serve.

        Raises:
            KubeletError: the folder's path is too long, or cannot be written; or it runs already.
        """
        if self._run:
            raise KubeletError("the kubelet runs already", where=str(self.folder))
        for path in (self.plugin_socket, self.pod_resources_socket):
            sockets.check_length(path)
        try:
            for path in (self.plugin_socket, self.pod_resources_socket):
                path.parent.mkdir(parents=True, exist_ok=True)
            (self.folder / "pods").mkdir(exist_ok=True)
            self._logs.prepare()
        except OSError as error:
            raise KubeletError(
                f"cannot make the folders: {error}", where=str(self.folder)
            ) from None
        await self._begin()

    async def restart(self) -> None:
        """As when a kubelet restarts: pods run on, sockets are made anew, plugins are forgotten."""
        await self._require().close()
        self._journal.note("Restarting", self.node, "the kubelet restarts")
        await self._begin()

    async def _begin(self) -> None:
        run = _Run(self)
        self._run = run
        try:
            await run.open()
        except BaseException:
            self._run = None
            await run.close()
            raise
        self._journal.note("Starting", self.node, "the kubelet serves")

    async def stop(self, grace: float = 0.0) -> None:
        """Kill all pods (at once, or `grace` seconds after SIGTERM) and remove the sockets.

        Logs and the checkpoint stay. Twice is once.
        """
        run, self._run = self._run, None
        for pod in self._pods.values():
            pod.stop(grace)
        await asyncio.gather(*self._workers.values(), return_exceptions=True)
        if run:
            await run.close()
        self._pods.clear()
        self._workers.clear()
        shutil.rmtree(self.folder / "pods", ignore_errors=True)
        self._journal.note("Stopped", self.node, "the kubelet stopped")

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.stop()

    def add_pod(self, spec: PodSpec) -> PodStatus:
        """Take a pod in; it runs as soon as it fits.

        Raises:
            KubeletError: there is one of that name, or the kubelet does not run.
        """
        run = self._require()
        if spec.key in self._pods:
            raise KubeletError(f'pods "{spec.name}" already exists', where=spec.key)
        pod = Pod(spec, run.house)
        self._pods[spec.key] = pod
        self._journal.ring()
        return pod.status()

    def add_deployment(self, name: str, replicas: int, template: PodSpec) -> tuple[str, ...]:
        """Add that many pods after a template, with names as a Deployment's pods have them.

        Nobody replaces those that end or are deleted.

        Returns:
            Their names.
        """
        group = _suffix(10)
        names = tuple(f"{name}-{group}-{_suffix(5)}" for _ in range(replicas))
        for pod in names:
            self.add_pod(replace(template, name=pod))
        return names

    async def delete_pod(self, namespace: str, name: str, grace: float | None = None) -> None:
        """End a pod, and wait until nothing of it is left, logs included.

        Args:
            namespace: the pod's.
            name: the pod's.
            grace: seconds from SIGTERM to SIGKILL; None for the pod's own.

        Raises:
            KubeletError: there is no such pod.
        """
        pod = self._find(namespace, name)
        pod.stop(grace)
        await self._journal_until_over(pod)
        if self._pods.get(pod.spec.key) is pod:
            del self._pods[pod.spec.key]
            self._workers.pop(pod.uid, None)
            pod.remove()
            self._journal.note("Deleted", pod.spec.key, "the pod is gone")

    async def _journal_until_over(self, pod: Pod) -> None:
        run = self._run
        while run and run.admitting is pod:
            await self._journal.changed()
        worker = self._workers.get(pod.uid)
        if worker:
            await asyncio.wait([worker])

    def pods(self) -> tuple[PodStatus, ...]:
        """All pods, in the order in which they came."""
        return tuple(pod.status() for pod in self._pods.values())

    def pod(self, namespace: str, name: str) -> PodStatus:
        """One pod.

        Raises:
            KubeletError: there is no such pod.
        """
        return self._find(namespace, name).status()

    def capacity(self) -> dict[str, int]:
        """Resource → devices, the ill ones counted."""
        return self._require().devices.ledger.capacity()

    def allocatable(self) -> dict[str, int]:
        """Resource → healthy devices, whether held or not."""
        return self._require().devices.ledger.allocatable()

    def log(self, namespace: str, pod: str, container: str = "", *, previous: bool = False) -> str:
        """What a container wrote since its last start, or in the start before.

        Args:
            namespace: the pod's.
            pod: its name.
            container: the first one if empty.
            previous: the start before the last.

        Raises:
            KubeletError: there is no such pod or container.
        """
        found = self._find(namespace, pod)
        return found.log(container or found.spec.containers[0].name, previous)

    async def wait_until(
        self,
        predicate: Callable[[], T],
        timeout: float,  # noqa: ASYNC109 - the deadline of a condition, told when it is missed
    ) -> T:
        """Wait until the predicate gives something true, and return that.

        It is asked whenever anything changes here.

        Raises:
            KubeletError: it did not within `timeout` seconds; the last events are in the hint.
        """
        return await self._journal.until(predicate, timeout)

    def _find(self, namespace: str, name: str) -> Pod:
        try:
            return self._pods[f"{namespace}/{name}"]
        except KeyError:
            raise KubeletError(f'pods "{name}" not found', where=f"{namespace}/{name}") from None

    def _require(self) -> _Run:
        if not self._run:
            raise KubeletError("the kubelet does not run", where=str(self.folder), hint="start it")
        return self._run

    def _launch(self, pod: Pod) -> None:
        self._workers[pod.uid] = asyncio.create_task(pod.run(), name=f"pod {pod.spec.key}")


class _Run:
    """One run of the kubelet, from a start or restart to the next: what does not outlive it."""

    def __init__(self, kubelet: EmbeddedKubelet) -> None:
        self._kubelet = kubelet
        self._journal = kubelet._journal
        folder = kubelet.plugin_socket.parent
        active = {pod.uid for pod in kubelet._pods.values() if pod.active}
        timing = kubelet.timing
        self.devices = DeviceManager(folder / FILE_NAME, self._journal, timing, active)
        self.plugins = Plugins(folder, self.devices, self._journal, timing)
        self.house = House(
            kubelet.folder / "pods",
            kubelet._environ,
            kubelet._logs,
            self._journal,
            timing,
            lambda: kubelet._run.devices if kubelet._run else self.devices,
        )
        self.admitting: Pod | None = None
        self._servers: list[tuple[grpc.aio.Server, Path]] = []
        self._admission: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """Clean the plugins' folder, serve, and begin to admit pods."""
        path = self._kubelet.plugin_socket
        sockets.clean(path.parent, path.parent / FILE_NAME)
        registration = sockets.new_server()
        service = RegistrationService(self.plugins, self._journal)
        deviceplugin_pb2_grpc.add_RegistrationServicer_to_server(service, registration)  # type: ignore[no-untyped-call]
        await self._serve(registration, path)
        resources = sockets.new_server()
        lister = PodResourcesService(self.devices.ledger, self._active)
        podresources_pb2_grpc.add_PodResourcesListerServicer_to_server(lister, resources)  # type: ignore[no-untyped-call]
        await self._serve(resources, self._kubelet.pod_resources_socket)
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
            sockets.remove(path)
        await self.plugins.close()
        self.devices.close()

    def _active(self) -> list[PodStatus]:
        return [pod.status() for pod in self._kubelet._pods.values() if pod.active]

    async def _admit_all(self) -> None:
        """Whenever something changed, start those that fit, the oldest first."""
        while True:
            seen = self._journal.rings
            for pod in tuple(self._kubelet._pods.values()):
                if pod.waiting:
                    await self._admit(pod)
            while seen == self._journal.rings:
                await self._journal.changed()

    async def _admit(self, pod: Pod) -> None:
        """Schedule and admit one pod, if it fits; one at a time, as a kubelet does."""
        bound = [p.spec.requests for p in self._kubelet._pods.values() if p.active]
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
            message = f"Allocate failed due to {error.what}, which is unexpected"
            pod.refuse("UnexpectedAdmissionError", message)
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
        node = self._kubelet.node
        self._journal.note("Scheduled", pod.spec.key, f"assigned {pod.spec.key} to {node}")
        self._kubelet._launch(pod)


def _suffix(length: int) -> str:
    return "".join(secrets.choice(SUFFIX_LETTERS) for _ in range(length))
