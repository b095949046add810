"""The objects that a proof makes: a Deployment of smoke pods, and one pod that must wait. Pure.

Both fit the strictest Pod Security standard. They are tied to their node by its name, so that no
autoscaler takes the pod that waits for a reason to add one; the pod belongs to the Deployment, so
that one deletion removes everything.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rota.cluster.gpus import GpuNode

BY = "app.kubernetes.io/managed-by"
US = "rota-verify"
RUN = "rota.dev/verify"
ROLE = "rota.dev/verify-role"
WHO = "rota.dev/verify-by"
UNTIL = "rota.dev/verify-until"

OURS = f"{BY}={US}"
"""The label selector of everything that any proof made."""

GRACE = 3
"""Seconds that a smoke pod has to end."""

SCRIPT = """\
if command -v rota >/dev/null 2>&1; then exec rota inside --stay; fi
printf '{"visible": "%s"}\\n' "$NVIDIA_VISIBLE_DEVICES"
nvidia-smi --query-gpu=uuid,name,memory.total --format=csv,noheader 2>/dev/null
trap 'exit 0' TERM
while :; do sleep 1; done
"""
"""Rota's own images know what to say; any other one says what nvidia-smi says."""


@dataclass(frozen=True, slots=True)
class Wish:
    """What the pods are to be like.

    Attributes:
        namespace: where.
        image: which image.
        run: this proof's name.
        who: the process that makes them: `host/pid`.
        until: when it is over at the latest, seconds since 1970.
        runtime_class: of the pods; empty for the node's default.
        pull: when to pull the image; empty for Kubernetes' own rule.
    """

    namespace: str
    image: str
    run: str
    who: str
    until: int
    runtime_class: str = ""
    pull: str = ""


def deployment(name: str, node: GpuNode, resource: str, count: int, wish: Wish) -> dict[str, Any]:
    """As many pods as there are replicas free."""
    labels = _labels(wish, "smoke") | {"rota.dev/verify-target": name}
    template = {"metadata": {"labels": labels}, "spec": _spec(node, resource, wish)}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": _meta(name, wish),
        "spec": {
            "replicas": count,
            "selector": {"matchLabels": labels},
            "strategy": {"type": "Recreate"},
            "template": template,
        },
    }


def one_more(
    name: str, node: GpuNode, resource: str, wish: Wish, owner: Mapping[str, Any] | None
) -> dict[str, Any]:
    """The pod that must wait; it goes with the Deployment, where there is one."""
    meta = _meta(f"{name}-one-more", wish, "one-more")
    if owner:
        meta["ownerReferences"] = [
            {"apiVersion": "apps/v1", "kind": "Deployment", "name": name, "uid": owner["uid"]}
        ]
    spec = _spec(node, resource, wish)
    return {"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": spec}


def _labels(wish: Wish, role: str) -> dict[str, str]:
    return {BY: US, RUN: wish.run, ROLE: role}


def _meta(name: str, wish: Wish, role: str = "smoke") -> dict[str, Any]:
    return {
        "name": name,
        "namespace": wish.namespace,
        "labels": _labels(wish, role),
        "annotations": {WHO: wish.who, UNTIL: str(wish.until)},
    }


def _spec(node: GpuNode, resource: str, wish: Wish) -> dict[str, Any]:
    container: dict[str, Any] = {
        "name": "smoke",
        "image": wish.image,
        "command": ["sh", "-c", SCRIPT],
        "env": [{"name": "NVIDIA_DRIVER_CAPABILITIES", "value": "compute,utility"}],
        "resources": {
            "requests": {"cpu": "10m", "memory": "64Mi"},
            "limits": {resource: "1", "memory": "1Gi"},
        },
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "runAsNonRoot": True,
            "runAsUser": 65534,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
    }
    if wish.pull:
        container["imagePullPolicy"] = wish.pull
    spec: dict[str, Any] = {
        "affinity": _only(node.name),
        "automountServiceAccountToken": False,
        "containers": [container],
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": GRACE,
        "tolerations": list(_tolerations(node)),
    }
    return spec | ({"runtimeClassName": wish.runtime_class} if wish.runtime_class else {})


def _only(node: str) -> dict[str, Any]:
    by_name = {"key": "metadata.name", "operator": "In", "values": [node]}
    terms = {"nodeSelectorTerms": [{"matchFields": [by_name]}]}
    return {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": terms}}


def _tolerations(node: GpuNode) -> list[dict[str, Any]]:
    """The node's own taints, but for those that say that it is not well."""
    return [
        {"key": taint["key"], "operator": "Exists", "effect": taint["effect"]}
        for taint in node.taints
        if not str(taint.get("key", "")).startswith("node.kubernetes.io/")
    ]
