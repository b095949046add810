"""Pods and what makes pods: their containers, and how many GPUs each asks for."""

from __future__ import annotations

import re
from collections.abc import Iterator
from decimal import Decimal
from difflib import SequenceMatcher

from rota.config.check.world import Container, Manifest, Pod, Quota
from rota.config.document import Mapping, Node, Scalar, Sequence, find, text_of

DOMAIN = "nvidia.com/"
_TEMPLATE = ("spec", "template", "spec")
_SPECS = {
    "Pod": ("spec",),
    "PodTemplate": ("template", "spec"),
    "Deployment": _TEMPLATE,
    "StatefulSet": _TEMPLATE,
    "DaemonSet": _TEMPLATE,
    "ReplicaSet": _TEMPLATE,
    "ReplicationController": _TEMPLATE,
    "Job": _TEMPLATE,
    "CronJob": ("spec", "jobTemplate", *_TEMPLATE),
}
_OTHERS = """
    ClusterPolicy NVIDIADriver ConfigMap ResourceQuota LimitRange List Node Namespace Service Secret
    ServiceAccount Role RoleBinding ClusterRole ClusterRoleBinding Ingress NetworkPolicy Lease Event
    PersistentVolume PersistentVolumeClaim StorageClass PodDisruptionBudget PriorityClass Endpoints
    HorizontalPodAutoscaler RuntimeClass CustomResourceDefinition Kustomization Component
    ServiceMonitor PodMonitor PrometheusRule EndpointSlice
"""
KNOWN_KINDS = frozenset(_SPECS) | frozenset(_OTHERS.split())
_SUFFIXES = {
    "n": Decimal("1e-9"), "u": Decimal("1e-6"), "m": Decimal("1e-3"), "": Decimal(1),
    "k": Decimal(10**3), "M": Decimal(10**6), "G": Decimal(10**9), "T": Decimal(10**12),
    "P": Decimal(10**15), "E": Decimal(10**18), "Ki": Decimal(2**10), "Mi": Decimal(2**20),
    "Gi": Decimal(2**30), "Ti": Decimal(2**40), "Pi": Decimal(2**50), "Ei": Decimal(2**60),
}  # fmt: skip
_LARGEST = Decimal(2**63 - 1)
_QUANTITY = re.compile(r"([+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d{1,2})?)([numkMGTPE]|[KMGTPE]i)?")


def pods_in(manifest: Manifest) -> Iterator[Pod]:
    """The pods of an object; in a kind that nobody told us of, wherever containers are listed."""
    path = _SPECS.get(manifest.kind)
    if path is not None:
        specs = [find(manifest.node, *path)]
    elif manifest.kind in KNOWN_KINDS:
        return
    else:
        specs = list(_hidden(manifest.node))
    for spec in specs:
        containers = tuple(_containers(spec))
        if containers:
            yield Pod(manifest, containers)


def quotas_in(manifest: Manifest) -> Iterator[Quota]:
    """The GPU entries of a ResourceQuota or a LimitRange."""
    if manifest.kind == "ResourceQuota":
        yield from _hard(manifest, find(manifest.node, "spec", "hard"))
    elif manifest.kind == "LimitRange":
        limits = find(manifest.node, "spec", "limits")
        for item in limits.items if isinstance(limits, Sequence) else ():
            for field in ("default", "defaultRequest", "max", "min"):
                yield from _hard(manifest, find(item, field))


def amount(value: Node) -> Decimal | None:
    """A Kubernetes quantity as a number, at most what the API can hold; None for what is none."""
    if not isinstance(value, Scalar) or isinstance(value.value, bool):
        return None
    match = _QUANTITY.fullmatch(value.text.strip())
    if match is None:
        return None
    number = Decimal(match[1]) * _SUFFIXES[match[2] or ""]
    return max(-_LARGEST, min(number, _LARGEST))


def is_gpu(resource: str) -> bool:
    """Whether this names a GPU resource of NVIDIA's, or misspells one."""
    if resource.startswith(DOMAIN) or ".nvidia.com/" in resource:
        return True
    return SequenceMatcher(None, resource, "nvidia.com/gpu").ratio() > 0.8


def _hard(manifest: Manifest, node: Node | None) -> Iterator[Quota]:
    for entry in node.entries if isinstance(node, Mapping) else ():
        if is_gpu(entry.key.removeprefix("requests.").removeprefix("limits.")):
            yield Quota(manifest, entry.key, entry.mark, entry.value)


def _hidden(root: Node) -> Iterator[Node]:
    """Every map with a list of containers, each once however often aliases repeat it."""
    waiting, seen = [root], set[int]()
    while waiting:
        node = waiting.pop()
        if id(node) in seen:
            continue
        seen.add(id(node))
        if isinstance(node, Mapping):
            if isinstance(node.get("containers"), Sequence):
                yield node
            waiting.extend(entry.value for entry in reversed(node.entries))
        elif isinstance(node, Sequence):
            waiting.extend(reversed(node.items))


def _containers(spec: Node | None) -> Iterator[Container]:
    for field in ("initContainers", "containers"):
        listed = find(spec, field)
        for item in listed.items if isinstance(listed, Sequence) else ():
            sidecar = text_of(find(item, "restartPolicy")) == "Always"
            yield _container(item, init=field == "initContainers" and not sidecar)


def _container(item: Node, *, init: bool) -> Container:
    return Container(
        name=text_of(find(item, "name")) or "",
        init=init,
        limits=_gpus(find(item, "resources", "limits")),
        requests=_gpus(find(item, "resources", "requests")),
        visible=_variable(find(item, "env"), "NVIDIA_VISIBLE_DEVICES"),
        image=text_of(find(item, "image")) or "",
        mark=item.mark,
    )


def _gpus(node: Node | None) -> dict[str, Node]:
    entries = node.entries if isinstance(node, Mapping) else ()
    return {entry.key: entry.value for entry in entries if is_gpu(entry.key)}


def _variable(env: Node | None, name: str) -> Scalar | None:
    for item in env.items if isinstance(env, Sequence) else ():
        value = find(item, "value")
        if text_of(find(item, "name")) == name and isinstance(value, Scalar):
            return value
    return None
