"""Pods: each on a shared GPU holds what it uses, and none is refused again and again."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from datetime import timedelta

from rota.cluster.gpus import VISIBLE, GpuPod
from rota.cluster.reasons import OVER_LIMIT, UNGATED, UNMANAGED
from rota.config.findings import Finding
from rota.doctor.registry import Rule, found
from rota.doctor.rules.words import some
from rota.doctor.world import Told, World

RECENT = timedelta(hours=1)
"""An Event older than this is about what was; the API keeps them so long by default."""

REFUSED = "UnexpectedAdmissionError"

_SYSTEM = ("nvidia-", "gpu-feature-discovery", "gpu-operator")
"""Pods that watch GPUs by trade: those of NVIDIA's operator."""


def nobody_helps_itself(world: World) -> Iterator[Finding]:
    """Pods on a shared GPU hold replicas of it."""
    shared = {node.name for node in world.nodes if node.shared}
    served = {plugin.pod.namespace for plugin in world.plugins}
    serving = {plugin.pod.title for plugin in world.plugins}
    told = {t.about: t for t in _recent(world, UNMANAGED.name)}
    for pod in world.pods:
        system = pod.namespace in served and pod.name.startswith(_SYSTEM)
        if (
            pod.helps_itself
            and pod.node in shared
            and pod.holds
            and not (system or pod.title in serving)
        ):
            names = some(pod.helps_itself)
            what = f"container {names} sees the GPUs of {pod.node} by {VISIBLE} and asks for none"
            told.pop(pod.title, None)
            yield found("unmanaged-pod", pod.title, what, _asks_properly(pod))
    for about, event in told.items():
        yield found("unmanaged-pod", about, event.message, "let it ask for nvidia.com/gpu")


def _asks_properly(pod: GpuPod) -> str:
    what = pod.owner or f"Pod {pod.name}"
    return f"in {what} of {pod.namespace}: no {VISIBLE}, and limits: {{nvidia.com/gpu: 1}}"


def nobody_is_refused(world: World) -> Iterator[Finding]:
    """No pods pile up that a kubelet refused."""
    refused: defaultdict[tuple[str, str], list[GpuPod]] = defaultdict(list)
    for pod in world.pods:
        if pod.phase == "Failed" and pod.reason == REFUSED:
            refused[pod.namespace, pod.owner or f"Pod {pod.name}"].append(pod)
    for (namespace, owner), pods in refused.items():
        kind, _, name = owner.partition(" ")
        nodes = some(pod.node for pod in pods if pod.node)
        said = next((pod.message for pod in reversed(pods) if pod.message), "without a word")
        many = f"{len(pods)} pods were" if len(pods) > 1 else "it was"
        what = f"{many} refused on {nodes or 'a node'}: {said}"
        hint = f"kubectl delete pods -n {namespace} --field-selector status.phase=Failed"
        if "maximum request size" in said:
            hint = f"ask for 1 in {owner}; then {hint}"
        yield found("admission-error", f"{kind} {namespace}/{name}", what, hint)


def nobody_waits(world: World) -> Iterator[Finding]:
    """Pods wait only where everything is held."""
    waiting: defaultdict[str, list[GpuPod]] = defaultdict(list)
    for pod in world.pods:
        for resource in pod.requests:
            if pod.waits and f"Insufficient {resource}" in pod.message:
                waiting[resource].append(pod)
    for resource, pods in sorted(waiting.items()):
        total = sum(node.allocatable.get(resource, 0) for node in world.nodes)
        taken = sum(pod.requests.get(resource, 0) for pod in world.pods if pod.holds)
        names = some(f"{pod.namespace}/{pod.name}" for pod in pods)
        many = f"{len(pods)} pods wait" if len(pods) > 1 else "a pod waits"
        what = f"{many} for {resource}, {taken} of {total} of which are held: {names}"
        first = f"kubectl describe pod -n {pods[0].namespace} {pods[0].name}"
        yield found("pods-wait", "Cluster", what, first)


def everybody_takes_turns(world: World) -> Iterator[Finding]:
    """No agent told lately that a pod takes no turns, or more memory than is its."""
    for told in _recent(world, UNGATED.name):
        hint = "kubectl get events -A --field-selector source=rota-agent,reason=Ungated"
        yield found("pod-ungated", told.about, f"takes no turns: {told.message}", hint)
    for told in _recent(world, OVER_LIMIT.name):
        hint = "set `rota.memory.enforce: hard`, or give it more with rota.dev/memory"
        yield found("over-memory", told.about, told.message, hint)


def everything_was_read(world: World) -> Iterator[Finding]:
    """What could not be read is said."""
    for what, why in sorted(world.unread.items()):
        hint = f"kubectl auth can-i list {what} -A" if " " not in what else ""
        yield found("not-looked-at", "Cluster", f"{what} could not be read: {why}", hint)


def _recent(world: World, reason: str) -> list[Told]:
    """The last of such Events about each object, where it is recent and the pod is still there."""
    last = {t.about: t for t in world.told if t.reason == reason}
    return [
        told
        for told in last.values()
        if (told.at is None or world.now - told.at < RECENT) and told.about in world.running
    ]


RULES: tuple[Rule, ...] = (
    nobody_helps_itself,
    nobody_is_refused,
    nobody_waits,
    everybody_takes_turns,
    everything_was_read,
)
