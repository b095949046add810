"""GPUs as the API server knows them: what nodes offer, what pods ask for and hold. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from rota.cluster.door import Object, labels_of, metadata
from rota.config.naming import DOMAIN

VISIBLE = "NVIDIA_VISIBLE_DEVICES"

_PRESENT = ("nvidia.com/gpu.present", "feature.node.kubernetes.io/pci-10de.present")
_OVER = ("Succeeded", "Failed")


@dataclass(frozen=True, slots=True)
class GpuNode:
    """A node, as far as GPUs go.

    Attributes:
        name: its name.
        labels: its labels.
        capacity: resource → devices, the ill ones counted; NVIDIA's domain only.
        allocatable: resource → devices that can be given or are.
        ready: the kubelet is well.
        open: pods may be scheduled to it.
        taints: what its pods must tolerate.
    """

    name: str
    labels: Mapping[str, str] = field(default_factory=dict)
    capacity: Mapping[str, int] = field(default_factory=dict)
    allocatable: Mapping[str, int] = field(default_factory=dict)
    ready: bool = True
    open: bool = True
    taints: tuple[Mapping[str, Any], ...] = ()

    def count(self, resource: str) -> int | None:
        """Physical devices behind a resource, as its label says; None where none does."""
        return _number(self.labels.get(f"{resource}.count"))

    @property
    def has_gpus(self) -> bool:
        """It has some, by what it offers or by its labels."""
        told = any(self.labels.get(label) == "true" for label in _PRESENT)
        return bool(self.capacity) or told or bool(self.count(DOMAIN + "gpu"))

    @property
    def shared(self) -> bool:
        """Some GPU of it is cut into replicas, as its labels say."""
        suffix = ".sharing-strategy"
        return any(k.endswith(suffix) and v != "none" for k, v in self.labels.items())


def node_of(thing: Object) -> GpuNode:
    """A node from its object."""
    status, spec = thing.get("status") or {}, thing.get("spec") or {}
    conditions = {c.get("type"): c.get("status") for c in status.get("conditions") or ()}
    return GpuNode(
        str(metadata(thing)["name"]),
        labels_of(thing),
        _devices(status.get("capacity")),
        _devices(status.get("allocatable")),
        conditions.get("Ready", "True") == "True",
        not spec.get("unschedulable"),
        tuple(spec.get("taints") or ()),
    )


@dataclass(frozen=True, slots=True)
class GpuPod:
    """A pod, as far as GPUs go.

    Attributes:
        namespace, name, uid: the pod's.
        node: where it is; empty while it waits for one.
        phase: as in Kubernetes.
        reason, message: the kubelet's, of a pod that it refused; the scheduler's, of one that waits.
        requests: resource → devices that it asks for.
        helps_itself: containers that set NVIDIA_VISIBLE_DEVICES to some GPUs and ask for none.
        owner: what made it, such as `ReplicaSet train-6d8f`; empty for a pod of its own.
        priority: the scheduler's.
        labels: its labels.
    """

    namespace: str
    name: str
    uid: str = ""
    node: str = ""
    phase: str = ""
    reason: str = ""
    message: str = ""
    requests: Mapping[str, int] = field(default_factory=dict)
    helps_itself: tuple[str, ...] = ()
    owner: str = ""
    priority: int = 0
    labels: Mapping[str, str] = field(default_factory=dict)

    @property
    def title(self) -> str:
        """As a finding names it."""
        return f"Pod {self.namespace}/{self.name}"

    @property
    def over(self) -> bool:
        """It has ended."""
        return self.phase in _OVER

    @property
    def holds(self) -> bool:
        """It has its devices, as the scheduler counts."""
        return bool(self.node) and not self.over

    def holds_on(self, node: str, resource: str) -> bool:
        """It holds some of that node's devices."""
        return self.holds and self.node == node and bool(self.requests.get(resource))

    @property
    def waits(self) -> bool:
        """It has no node yet."""
        return not self.node and not self.over


def pod_of(thing: Object) -> GpuPod:
    """A pod from its object."""
    meta, spec, status = metadata(thing), thing.get("spec") or {}, thing.get("status") or {}
    owner = next(iter(meta.get("ownerReferences") or ()), None)
    reason, message = status.get("reason") or "", status.get("message") or ""
    scheduled = _condition(status, "PodScheduled")
    if not spec.get("nodeName") and scheduled:
        reason, message = scheduled.get("reason") or "", scheduled.get("message") or ""
    return GpuPod(
        namespace=str(meta.get("namespace", "")),
        name=str(meta.get("name", "")),
        uid=str(meta.get("uid", "")),
        node=str(spec.get("nodeName") or ""),
        phase=str(status.get("phase") or "Pending"),
        reason=str(reason),
        message=str(message),
        requests=requests_of(spec),
        helps_itself=tuple(_helping(spec)),
        owner=f"{owner.get('kind')} {owner.get('name')}" if owner else "",
        priority=int(spec.get("priority") or 0),
        labels=labels_of(thing),
    )


def requests_of(spec: Mapping[str, Any]) -> dict[str, int]:
    """What a pod asks for: its containers together, or a hungrier init container."""
    together: Counter[str] = Counter()
    for container in spec.get("containers") or ():
        together.update(_asked(container))
    for container in spec.get("initContainers") or ():
        for name, count in _asked(container).items():
            together[name] = max(together[name], count)
    return {name: count for name, count in together.items() if count}


def held(pods: Iterable[GpuPod], node: str, resource: str) -> int:
    """How many of a node's devices pods hold."""
    return sum(pod.requests.get(resource, 0) for pod in pods if pod.holds and pod.node == node)


def _asked(container: Mapping[str, Any]) -> dict[str, int]:
    resources = container.get("resources") or {}
    return _devices({**(resources.get("requests") or {}), **(resources.get("limits") or {})})


def _helping(spec: Mapping[str, Any]) -> Iterator[str]:
    for container in spec.get("containers") or ():
        env = {e.get("name"): e.get("value") for e in container.get("env") or ()}
        if env.get(VISIBLE) not in (None, "", "void", "none") and not _asked(container):
            yield str(container.get("name", ""))


def _condition(status: Mapping[str, Any], kind: str) -> Mapping[str, Any] | None:
    found = (c for c in status.get("conditions") or () if c.get("type") == kind)
    return next((c for c in found if c.get("status") == "False"), None)


def _devices(amounts: Any) -> dict[str, int]:
    found = {str(k): _number(v) for k, v in (amounts or {}).items() if str(k).startswith(DOMAIN)}
    return {name: count for name, count in found.items() if count is not None}


def _number(text: Any) -> int | None:
    try:
        return int(text)
    except (TypeError, ValueError):
        return None
