"""What a person asks for: pods of containers, in Kubernetes' words, and the kubelet's own times.

A specification is checked when it is made, so that no later room meets a pod without containers.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from rota.errors import KubeletError
from rota.kubelet.embedded.names import is_extended_resource, is_label, is_subdomain

RestartPolicy = Literal["Always", "OnFailure", "Never"]


class InvalidPod(KubeletError):
    """A pod that no API server would take."""


@dataclass(frozen=True, slots=True)
class ContainerSpec:
    """One container, run as a local process.

    Attributes:
        name: unique within its pod.
        command: program and arguments; the program is searched in the container's own PATH.
        env: over everything else, also over what a device plugin gives, as on a node.
        limits: resource name → whole number. Only extended resources count.
        cwd: where it starts; empty for a folder of the pod's own.
    """

    name: str
    command: tuple[str, ...]
    env: Mapping[str, str] = field(default_factory=dict)
    limits: Mapping[str, int] = field(default_factory=dict)
    cwd: str = ""

    @property
    def devices(self) -> dict[str, int]:
        """Extended resources that it asks for, with counts above 0, sorted by name."""
        asked = sorted(self.limits.items())
        return {name: count for name, count in asked if count and is_extended_resource(name)}


@dataclass(frozen=True, slots=True)
class PodSpec:
    """One pod.

    Attributes:
        name: unique within its namespace.
        containers: run side by side.
        namespace: its namespace; it need not be made first.
        init_containers: run one after the other, each to a good end, before the others. Their
            devices are handed on to the containers.
        restart_policy: as in Kubernetes.
        annotations: kept with the pod, read by nobody here.
        termination_grace_seconds: between SIGTERM and SIGKILL.

    Raises:
        InvalidPod: something in it that an API server would refuse.
    """

    name: str
    containers: tuple[ContainerSpec, ...]
    namespace: str = "default"
    init_containers: tuple[ContainerSpec, ...] = ()
    restart_policy: RestartPolicy = "Always"
    annotations: Mapping[str, str] = field(default_factory=dict)
    termination_grace_seconds: float = 30.0

    def __post_init__(self) -> None:
        problem = _problem(self)
        if problem:
            raise InvalidPod(f'Pod "{self.name}" is invalid: {problem}', where=self.key)

    @property
    def key(self) -> str:
        """`namespace/name`."""
        return f"{self.namespace}/{self.name}"

    @property
    def every_container(self) -> tuple[ContainerSpec, ...]:
        """Init containers first."""
        return self.init_containers + self.containers

    @property
    def requests(self) -> dict[str, int]:
        """What the scheduler counts: the sum of the containers, or the largest init container."""
        total: Counter[str] = Counter()
        for container in self.containers:
            total.update(container.devices)
        for container in self.init_containers:
            total |= Counter(container.devices)
        return dict(total)


def _problem(pod: PodSpec) -> str:
    if not is_subdomain(pod.name):
        return f'metadata.name: Invalid value: "{pod.name}": must be an RFC 1123 subdomain'
    if not is_label(pod.namespace):
        return f'metadata.namespace: Invalid value: "{pod.namespace}": must be an RFC 1123 label'
    if not pod.containers:
        return "spec.containers: Required value"
    if pod.restart_policy not in ("Always", "OnFailure", "Never"):
        return f'spec.restartPolicy: Unsupported value: "{pod.restart_policy}"'
    if pod.termination_grace_seconds < 0:
        return "spec.terminationGracePeriodSeconds: must be greater than or equal to 0"
    counts = Counter(container.name for container in pod.every_container)
    double = next((name for name, count in counts.items() if count > 1), None)
    if double is not None:
        return f'spec.containers.name: Duplicate value: "{double}"'
    return next(filter(None, map(_container_problem, pod.every_container)), "")


def _container_problem(container: ContainerSpec) -> str:
    if not is_label(container.name):
        return f'spec.containers.name: Invalid value: "{container.name}": must be an RFC 1123 label'
    if not container.command:
        return f"spec.containers[{container.name}].command: Required value: there is no image here"
    texts = (*container.command, *container.env, *container.env.values(), container.cwd)
    if any("\0" in text for text in texts):
        return f"spec.containers[{container.name}]: a command or env with a NUL in it"
    if any(not name or "=" in name for name in container.env):
        return f"spec.containers[{container.name}].env: a name is empty or has a = in it"
    bad = next((item for item in container.limits.items() if item[1] < 0), None)
    if bad:
        return (
            f"spec.containers[{container.name}].resources.limits[{bad[0]}]: Invalid value: "
            f'"{bad[1]}": must be greater than or equal to 0'
        )
    return ""


@dataclass(frozen=True, slots=True)
class Timing:
    """The kubelet's times in seconds, with the real one's defaults.

    Attributes:
        endpoint_grace: a resource whose plugin is gone keeps its capacity so long.
        dial_deadline: to connect to a plugin that registers, and again to get its options.
        call_deadline: for GetPreferredAllocation and Allocate. The real kubelet waits for ever,
            and admits nothing meanwhile; this one does not.
        prestart_deadline: for PreStartContainer.
        backoff_first: wait before the second restart of a container (the first is at once); it
            doubles with each.
        backoff_longest: the longest such wait.
        backoff_forget: a container that ran so long starts afresh.
    """

    endpoint_grace: float = 300.0
    dial_deadline: float = 10.0
    call_deadline: float = 30.0
    prestart_deadline: float = 30.0
    backoff_first: float = 10.0
    backoff_longest: float = 300.0
    backoff_forget: float = 600.0

    def backoff(self, exits: int) -> float:
        """How long to wait before a restart, after that many exits in a row (from 1)."""
        if exits <= 1:
            return 0.0
        doubled: float = self.backoff_first * 2.0 ** min(exits - 2, 32)
        return min(doubled, self.backoff_longest)
