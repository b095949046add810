"""How far a DaemonSet is: on how many nodes it should be, and why it is not on some."""

from __future__ import annotations

from dataclasses import dataclass

from rota.cluster.door import EVENTS, Api, Forbidden, Object, View, metadata
from rota.deploy.daemonset import NAME

_RUNTIME_CLASS = "; where NVIDIA's runtime is the default one, --set runtimeClass="


@dataclass(frozen=True, slots=True)
class Rollout:
    """How far the DaemonSet is.

    Attributes:
        nodes: how many it is for; None while its controller has not seen it.
        updated: how many run the newest version.
        refused: why the API server takes no pod of it on some; empty where it does, or did not say.
    """

    nodes: int | None
    updated: int = 0
    refused: str = ""


def rollout_of(daemon_set: Object) -> Rollout:
    """As its status says."""
    status, generation = daemon_set.get("status") or {}, metadata(daemon_set).get("generation", 0)
    if status.get("observedGeneration", 0) < generation or "desiredNumberScheduled" not in status:
        return Rollout(None)
    return Rollout(status["desiredNumberScheduled"], status.get("updatedNumberScheduled", 0))


async def why_no_pods(api: Api, namespace: str) -> str:
    """What the API server said last when it took no pod of it; empty for nothing."""
    fields = f"involvedObject.kind=DaemonSet,involvedObject.name={NAME},reason=FailedCreate"
    try:
        events = (await api.list(View(EVENTS, namespace, fields=fields))).items
    except Forbidden:
        return ""
    if not events:
        return ""
    last = max(events, key=lambda one: str(one.get("lastTimestamp", "")))
    message = str(last.get("message", ""))
    return message + (_RUNTIME_CLASS if "RuntimeClass" in message else "")


def node_of(pod: Object) -> str:
    """The node that a pod is on, or that a DaemonSet means it for."""
    spec = pod.get("spec") or {}
    if name := spec.get("nodeName"):
        return str(name)
    affinity = (spec.get("affinity") or {}).get("nodeAffinity") or {}
    required = affinity.get("requiredDuringSchedulingIgnoredDuringExecution") or {}
    for term in required.get("nodeSelectorTerms") or ():
        for field in term.get("matchFields") or ():
            if field.get("key") == "metadata.name":
                return str(field["values"][0])
    return ""
