"""What can be seen of pods from outside: frozen pictures, in `kubectl`'s words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from rota.kubelet.embedded.spec import PodSpec

Phase = Literal["Pending", "Running", "Succeeded", "Failed"]
State = Literal["waiting", "running", "terminated"]


@dataclass(frozen=True, slots=True)
class Given:
    """What the device plugins gave a container at its admission.

    Only `env` has an effect on a local process; the rest is what a runtime on a node would apply.

    Attributes:
        devices: resource name → device ids.
        env: environment variables.
        mounts: (path in the container, path on the host, read only).
        device_nodes: (path in the container, path on the host, permissions).
        annotations: for the container runtime.
        cdi_devices: fully qualified CDI names.
    """

    devices: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    env: Mapping[str, str] = field(default_factory=dict)
    mounts: tuple[tuple[str, str, bool], ...] = ()
    device_nodes: tuple[tuple[str, str, str], ...] = ()
    annotations: Mapping[str, str] = field(default_factory=dict)
    cdi_devices: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ContainerStatus:
    """One container as it is now, or as it ended.

    Attributes:
        name: as in the specification.
        state: waiting, running or terminated.
        reason: such as ContainerCreating, CrashLoopBackOff, Completed, Error, StartError.
        message: one sentence where there is more to say.
        id: 64 hex digits, new with each start; empty before the first.
        pid: of its main process while it runs, else None.
        exit_code: of its last end (128 + signal number for a signal); None before the first.
        restarts: how often it was started again.
        started: monotonic seconds of the last start; None before the first.
        finished: monotonic seconds of the last end; None while it runs.
        given: what the plugins gave; kept for reading when the pod is over and holds it no more.
    """

    name: str
    state: State = "waiting"
    reason: str = "ContainerCreating"
    message: str = ""
    id: str = ""
    pid: int | None = None
    exit_code: int | None = None
    restarts: int = 0
    started: float | None = None
    finished: float | None = None
    given: Given = field(default_factory=Given)

    @property
    def devices(self) -> Mapping[str, tuple[str, ...]]:
        """Device ids per resource."""
        return self.given.devices


@dataclass(frozen=True, slots=True)
class PodStatus:
    """One pod as it is now.

    Attributes:
        spec: what was asked for.
        uid: a new one for each pod, also for one that has an earlier one's name.
        phase: as in Kubernetes.
        reason: such as Unschedulable or UnexpectedAdmissionError; empty where all is well.
        message: the scheduler's or the kubelet's sentence.
        containers: those of the specification, in its order.
        init_containers: likewise.
        terminating: it was deleted and is ending.
    """

    spec: PodSpec
    uid: str
    phase: Phase
    reason: str = ""
    message: str = ""
    containers: tuple[ContainerStatus, ...] = ()
    init_containers: tuple[ContainerStatus, ...] = ()
    terminating: bool = False

    @property
    def name(self) -> str:
        """The pod's name."""
        return self.spec.name

    @property
    def namespace(self) -> str:
        """The pod's namespace."""
        return self.spec.namespace

    @property
    def over(self) -> bool:
        """It has ended and will not start again."""
        return self.phase in ("Succeeded", "Failed")

    def container(self, name: str = "") -> ContainerStatus:
        """The container with this name; the first one without a name.

        Raises:
            KeyError: there is none.
        """
        for status in self.containers + self.init_containers:
            if name in ("", status.name):
                return status
        raise KeyError(name)
