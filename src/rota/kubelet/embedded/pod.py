"""The life of one pod: its containers' starts, ends, restarts and back-offs, and its phase."""

from __future__ import annotations

import asyncio
import secrets
import shutil
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rota.errors import KubeletError
from rota.kubelet.embedded.container import (
    Container,
    Order,
    StartError,
)
from rota.kubelet.embedded.devices import DeviceManager
from rota.kubelet.embedded.events import Journal
from rota.kubelet.embedded.logs import Logs
from rota.kubelet.embedded.spec import ContainerSpec, PodSpec, Timing
from rota.kubelet.embedded.status import ContainerStatus, Phase, PodStatus
from rota.kubelet.marks import CONTAINER_MARK, POD_MARK

START_FAILED = 128


@dataclass(frozen=True, slots=True)
class House:
    """What every pod of a kubelet needs.

    Attributes:
        pods: folder under which each pod has one.
        environ: what the environment of every container starts from.
        logs: where output goes.
        journal: where events go.
        timing: the kubelet's times.
        devices: the device manager of now; a restart of the kubelet makes a new one.
    """

    pods: Path
    environ: Mapping[str, str]
    logs: Logs
    journal: Journal
    timing: Timing
    devices: Callable[[], DeviceManager]


class Pod:
    """One pod from its first day to its last."""

    def __init__(self, spec: PodSpec, house: House) -> None:
        self.spec = spec
        self.uid = str(uuid.uuid4())
        self.admitted = False
        self._house = house
        self._statuses = {
            c.name: ContainerStatus(
                c.name, reason="PodInitializing" if spec.init_containers else ""
            )
            for c in spec.every_container
        }
        self._running: dict[str, Container] = {}
        self._stopping = asyncio.Event()
        self._grace = spec.termination_grace_seconds
        self._end: Phase | None = None
        self._reason = ""
        self._message = ""

    @property
    def waiting(self) -> bool:
        """It is neither admitted nor refused nor deleted."""
        return not (self.admitted or self._end or self._stopping.is_set())

    @property
    def active(self) -> bool:
        """It is on the node and not over: it counts for the scheduler and in PodResources."""
        return self.admitted and not self._end

    def status(self) -> PodStatus:
        """The pod as it is now."""
        return PodStatus(
            spec=self.spec,
            uid=self.uid,
            phase=self._phase(),
            reason=self._reason,
            message=self._message,
            containers=tuple(self._statuses[c.name] for c in self.spec.containers),
            init_containers=tuple(self._statuses[c.name] for c in self.spec.init_containers),
            terminating=self._stopping.is_set(),
        )

    def _phase(self) -> Phase:
        if self._end:
            return self._end
        ours = [self._statuses[container.name] for container in self.spec.containers]
        begun = all(status.started is not None for status in ours)
        return "Running" if self.admitted and begun else "Pending"

    def wait_for_room(self, message: str) -> None:
        """The scheduler found no room."""
        if message != self._message:
            self._reason, self._message = "Unschedulable", message
            self._house.journal.warn("FailedScheduling", self.spec.key, message)

    def refuse(self, reason: str, message: str) -> None:
        """The kubelet does not admit it: it is over before it began."""
        self._end, self._reason = "Failed", reason
        self._message = f"Pod was rejected: {message}"
        self._house.journal.warn(reason, self.spec.key, message)

    def admit(self) -> None:
        """It fits, and has its devices."""
        self.admitted = True
        self._reason = self._message = ""
        for container in self.spec.every_container:
            given = self._house.devices().given(self.uid, container.name)
            self._change(container.name, given=given, reason="ContainerCreating")

    def stop(self, grace: float | None = None) -> None:
        """End it: SIGTERM, and SIGKILL when the grace is over (the pod's own if None)."""
        if grace is not None:
            self._grace = min(grace, self._grace)
        self._stopping.set()
        if self.active:
            self._house.journal.note("Killing", self.spec.key, f"within {self._grace:g} s")
        self._house.journal.ring()
        for container in self._running.values():
            container.stop(self._grace)

    async def run(self) -> None:
        """Run the containers to their end; the devices are free afterwards."""
        try:
            end = await self._run_all()
            if not self._stopping.is_set():
                self._end = end
        except* Exception as errors:
            self._end, self._reason, self._message = "Failed", "InternalError", repr(errors)
            self._house.journal.warn("InternalError", self.spec.key, repr(errors))
        finally:
            self._house.devices().release(self.uid)
            self._house.journal.ring()

    async def _run_all(self) -> Phase:
        for container in self.spec.init_containers:
            policy = "Never" if self.spec.restart_policy == "Never" else "OnFailure"
            if await self._keep(container, policy):
                return "Failed"
        async with asyncio.TaskGroup() as group:
            tasks = [
                group.create_task(self._keep(container, self.spec.restart_policy))
                for container in self.spec.containers
            ]
        return "Failed" if any(task.result() for task in tasks) else "Succeeded"

    async def _keep(self, container: ContainerSpec, policy: str) -> int:
        """Run a container as often as the policy wants; its last exit code."""
        exits, code = 0, 1
        while not self._stopping.is_set():
            begun = time.monotonic()
            ended = await self._once(container)
            if ended is not None:
                code = ended
                if policy == "Never" or (policy == "OnFailure" and not code):
                    break
            ran = time.monotonic() - begun
            exits = (
                1 if ended is not None and ran >= self._house.timing.backoff_forget else exits + 1
            )
            await self._back_off(container, exits + (ended is None), ended is not None)
        return code

    async def _once(self, container: ContainerSpec) -> int | None:
        """Start it and wait for its end; None when it could not even be made."""
        try:
            await self._house.devices().prestart(self.uid, container.name)
        except KubeletError as error:
            self._fail(container, "CreateContainerConfigError", error.what)
            return None
        try:
            running = await self._start(container)
        except (StartError, OSError) as error:
            self._fail(container, "StartError", f"failed to create container: {error}")
            now = time.monotonic()
            self._change(
                container.name,
                state="terminated",
                exit_code=START_FAILED,
                started=now,
                finished=now,
            )
            return START_FAILED
        return await self._until_end(container, running)

    async def _start(self, container: ContainerSpec) -> Container:
        status = self._statuses[container.name]
        attempt = 0 if status.started is None else status.restarts + 1
        order = self._order(container, secrets.token_hex(32))
        with self._house.logs.open(self.spec, self.uid, container.name, attempt, order.id) as log:
            self._change(container.name, id=order.id, restarts=attempt)
            running = await Container.start(order, log)
        self._running[container.name] = running
        self._change(
            container.name,
            state="running",
            reason="",
            message="",
            pid=running.pid,
            started=time.monotonic(),
            finished=None,
        )
        self._house.journal.note("Started", self.spec.key, f"container {container.name}")
        if self._stopping.is_set():
            running.stop(self._grace)
        return running

    async def _until_end(self, container: ContainerSpec, running: Container) -> int:
        try:
            code = await running.wait()
        finally:
            del self._running[container.name]
        self._change(
            container.name,
            state="terminated",
            reason="Error" if code else "Completed",
            pid=None,
            exit_code=code,
            finished=time.monotonic(),
        )
        message = f"container {container.name} ended with {code}"
        self._house.journal.note("Ended", self.spec.key, message)
        return code

    def _order(self, container: ContainerSpec, container_id: str) -> Order:
        """A container's own environment wins over what the device plugins gave."""
        home = self._house.pods / self.uid / "containers" / container.name
        home.mkdir(parents=True, exist_ok=True)
        env = {
            **self._house.environ,
            **self._statuses[container.name].given.env,
            **container.env,
            POD_MARK: self.uid,
            CONTAINER_MARK: container_id,
        }
        return Order(container_id, container.command, env, container.cwd or str(home))

    async def _back_off(self, container: ContainerSpec, exits: int, ran: bool) -> None:
        delay = self._house.timing.backoff(exits)
        if not delay or self._stopping.is_set():
            return
        message = f"back-off {delay:g}s restarting failed container={container.name}"
        if ran:
            reason, text = "CrashLoopBackOff", f"{message} pod={self.spec.key}"
            self._change(container.name, state="waiting", reason=reason, message=text)
        self._house.journal.warn("BackOff", self.spec.key, message)
        try:
            await asyncio.wait_for(self._stopping.wait(), delay)
        except TimeoutError:
            return

    def _fail(self, container: ContainerSpec, reason: str, message: str) -> None:
        self._change(container.name, state="waiting", reason=reason, message=message)
        self._house.journal.warn("Failed", self.spec.key, f"{container.name}: {message}")

    def _change(self, container: str, **changes: Any) -> None:
        self._statuses[container] = replace(self._statuses[container], **changes)
        self._house.journal.ring()

    def log(self, container: str, previous: bool = False) -> str:
        """What the container's current or last start wrote; or the one before it.

        Raises:
            KubeletError: it has no such container.
        """
        status = self._statuses.get(container)
        if status is None:
            raise KubeletError(
                f"container {container} is not valid for pod {self.spec.name}", where=self.spec.key
            )
        attempt = status.restarts - previous
        return self._house.logs.read(self.spec, self.uid, container, attempt)

    def remove(self) -> None:
        """Remove the pod's folders and logs."""
        shutil.rmtree(self._house.pods / self.uid, ignore_errors=True)
        self._house.logs.remove(self.spec, self.uid)
