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

from rota.errors import KubeletError
from rota.kubelet.embedded import sockets
from rota.kubelet.embedded.events import Event
from rota.kubelet.embedded.logs import Logs
from rota.kubelet.embedded.pod import House, Pod
from rota.kubelet.embedded.run import Node, Run
from rota.kubelet.embedded.spec import PodSpec, Timing
from rota.kubelet.embedded.status import PodStatus

T = TypeVar("T")

SUFFIX_LETTERS = "bcdfghjklmnpqrstvwxz2456789"
"""What Kubernetes makes the ends of pod names of."""


class EmbeddedKubelet:
    """One node's kubelet."""

    _last: Run

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
        self._node = Node(node, folder.absolute(), timing or Timing())
        self._journal = self._node.journal
        self._logs = Logs(self.folder / "logs")
        self._house = House(
            self.folder / "pods",
            dict(os.environ if environ is None else environ),
            self._logs,
            self._journal,
            self.timing,
            lambda: self._last.devices,
        )
        self._run: Run | None = None
        self._one_at_a_time = asyncio.Lock()

    @property
    def folder(self) -> Path:
        """As `/var/lib/kubelet` on a node, with the logs of `/var/log` in it."""
        return self._node.folder

    @property
    def node(self) -> str:
        """The node's name."""
        return self._node.name

    @property
    def timing(self) -> Timing:
        """The kubelet's times."""
        return self._node.timing

    @property
    def plugin_socket(self) -> Path:
        """Where plugins register."""
        return self._node.plugin_socket

    @property
    def pod_resources_socket(self) -> Path:
        """Where PodResources is served."""
        return self._node.pod_resources_socket

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
        async with self._one_at_a_time:
            await self._begin()

    async def restart(self) -> None:
        """As when a kubelet restarts: pods run on, sockets are made anew, plugins are forgotten."""
        async with self._one_at_a_time:
            await self._require().close()
            self._journal.note("Restarting", self.node, "the kubelet restarts")
            await self._begin()

    async def _begin(self) -> None:
        run = Run(self._node)
        self._run = self._last = run
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
        async with self._one_at_a_time:
            run, self._run = self._run, None
            for pod in self._node.pods.values():
                pod.stop(grace)
            if run:
                await run.close()
            await asyncio.gather(*self._node.workers.values(), return_exceptions=True)
            self._node.pods.clear()
            self._node.workers.clear()
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
        self._require()
        if spec.key in self._node.pods:
            raise KubeletError(f'pods "{spec.name}" already exists', where=spec.key)
        pod = Pod(spec, self._house)
        self._node.pods[spec.key] = pod
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
        await self._until_over(pod)
        if self._node.pods.get(pod.spec.key) is pod:
            del self._node.pods[pod.spec.key]
            self._node.workers.pop(pod.uid, None)
            pod.remove()
            self._journal.note("Deleted", pod.spec.key, "the pod is gone")

    async def _until_over(self, pod: Pod) -> None:
        run = self._run
        while run and run.admitting is pod:
            await self._journal.changed()
        worker = self._node.workers.get(pod.uid)
        if worker:
            await asyncio.wait([worker])

    def pods(self) -> tuple[PodStatus, ...]:
        """All pods, in the order in which they came."""
        return tuple(pod.status() for pod in self._node.pods.values())

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
            return self._node.pods[f"{namespace}/{name}"]
        except KeyError:
            raise KubeletError(f'pods "{name}" not found', where=f"{namespace}/{name}") from None

    def _require(self) -> Run:
        if not self._run:
            raise KubeletError("the kubelet does not run", where=str(self.folder), hint="start it")
        return self._run


def _suffix(length: int) -> str:
    return "".join(secrets.choice(SUFFIX_LETTERS) for _ in range(length))
