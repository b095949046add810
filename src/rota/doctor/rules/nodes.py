"""Nodes: what they offer is what their GPUs and their config come to, by one plugin each."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta

from rota.cluster.gpus import GpuNode, held
from rota.cluster.promise import promised
from rota.cluster.setup import config_of
from rota.config.findings import Finding
from rota.doctor.registry import Rule, found
from rota.doctor.rules.words import counts, some
from rota.doctor.world import Plugin, World
from rota.gpu.capability import KNOWN_BAD, NEEDED_DRIVER

STARTING = timedelta(seconds=90)
"""How long a plugin may take from its start until it is ready."""

FOLLOWING = timedelta(seconds=60)
"""How long an edit may take until every node offers what it says: the kubelet tells its node's
status every ten seconds."""


def somebody_has_gpus(world: World) -> Iterator[Finding]:
    """There is a GPU in the cluster."""
    if not world.nodes and "nodes" not in world.unread:
        what = "no node has GPUs, by its capacity or by its labels"
        hint = "kubectl get nodes -L nvidia.com/gpu.present"
        yield found("no-gpus", "Cluster", what, hint)


def plugins_have_registered(world: World) -> Iterator[Finding]:
    """A node with GPUs offers some."""
    for node in world.nodes:
        if any(node.capacity.values()) or not node.ready or "pods" in world.unread:
            continue
        serving = [plugin for plugin in world.on(node.name) if plugin.serves]
        what = "has GPUs by its labels, and offers none: "
        if serving:
            what += f"{serving[0].title} runs there and has not registered with the kubelet"
            yield found("plugin-not-registered", f"Node {node.name}", what, _logs(serving[0]))
        else:
            what += "no device plugin runs on it"
            yield found("plugin-not-registered", f"Node {node.name}", what, _where_to_look(world))


def _where_to_look(world: World) -> str:
    sets = {p.daemon_set: p.pod.namespace for p in world.plugins if p.serves and p.daemon_set}
    for name, namespace in sets.items():
        return f"kubectl get daemonset {name} -n {namespace} -o wide   # does it select this node?"
    return "rota apply, or install NVIDIA's device plugin"


def plugins_are_ready(world: World) -> Iterator[Finding]:
    """What serves GPUs is ready, or starting."""
    for plugin in world.plugins:
        young = plugin.started is not None and world.now - plugin.started < STARTING
        if plugin.ready or (young and not plugin.trouble):
            continue
        trouble = plugin.trouble or plugin.pod.message or "its containers have not started"
        what = f"{plugin.title} on {plugin.pod.node or 'no node yet'} is not ready: {trouble}"
        hint = f"kubectl describe pod -n {plugin.pod.namespace} {plugin.pod.name}"
        yield found("plugin-not-ready", plugin.pod.title, what, hint)


def one_plugin_a_node(world: World) -> Iterator[Finding]:
    """A node is served by one plugin."""
    for node in world.nodes:
        serving = [plugin for plugin in world.on(node.name) if plugin.serves]
        makers = {(p.by, p.pod.namespace, p.pod.owner) for p in serving}
        if len(makers) < 2:
            continue
        names = some(f"{p.title} ({p.pod.namespace}/{p.pod.name})" for p in serving)
        mixed = {plugin.by for plugin in serving} == {"rota", "nvidia"}
        homes = {source.namespace for source in world.sources}
        other = next((p for p in serving if p.pod.namespace not in homes), serving[-1])
        hint = f"kubectl delete daemonset {other.daemon_set or '…'} -n {other.pod.namespace}"
        if mixed:
            hint = "give the agent --beside-nvidia, or switch NVIDIA's off (--explain two-plugins)"
        yield found("two-plugins", f"Node {node.name}", f"{names} both serve it", hint)


def drivers_can_close_gates(world: World) -> Iterator[Finding]:
    """Where turns are wanted, the driver can take them."""
    for node in world.nodes:
        version = _driver(node)
        ours = any(plugin.by == "rota" for plugin in world.on(node.name))
        if not version or not ours:
            continue
        numbers = tuple(int(part) for part in re.findall(r"\d+", version))
        harm = next((why for bad, why in KNOWN_BAD.items() if numbers[: len(bad)] == bad), "")
        if harm:
            what, hint = f"driver {version}: {harm}", "install another driver on this node"
            yield found("driver-known-bad", f"Node {node.name}", what, hint)
        elif numbers < NEEDED_DRIVER:
            what = f"driver {version} cannot close gates: its pods take no turns"
            hint = f"install driver {NEEDED_DRIVER[0]} or later on this node"
            yield found("driver-too-old", f"Node {node.name}", what, hint)


def _driver(node: GpuNode) -> str:
    labels = node.labels
    full = labels.get("nvidia.com/cuda.driver-version.full", "")
    parts = [labels.get(f"nvidia.com/cuda.driver.{part}", "") for part in ("major", "minor", "rev")]
    return full or ".".join(part for part in parts if part)


def pods_fit_what_is_offered(world: World) -> Iterator[Finding]:
    """Pods hold no more than a node offers."""
    for node in world.nodes:
        for resource in sorted({*node.capacity, *_asked_on(world, node)}):
            offered, taken = (
                node.allocatable.get(resource, 0),
                held(world.pods, node.name, resource),
            )
            if taken <= offered:
                continue
            pods = [p for p in world.pods if p.holds_on(node.name, resource)]
            names = some(f"{pod.namespace}/{pod.name}" for pod in pods)
            what = f"pods hold {taken} {resource} of the {offered} that it offers: {names}"
            pod = pods[-1]
            hint = f"kubectl delete pod -n {pod.namespace} {pod.name}   # or wait until some have ended"
            yield found("over-capacity", f"Node {node.name}", what, hint)


def replicas_are_well(world: World) -> Iterator[Finding]:
    """All that a node has can be given, unless a shrink withholds it from those that hold it."""
    for node in world.nodes:
        for resource, total in sorted(node.capacity.items()):
            offered = node.allocatable.get(resource, 0)
            if offered >= total or held(world.pods, node.name, resource) > offered:
                continue
            if not node.ready or not any(p.serves for p in world.on(node.name)):
                continue
            what = f"{total - offered} of its {total} {resource} are unhealthy"
            serving = next(p for p in world.on(node.name) if p.serves)
            yield found("replicas-unhealthy", f"Node {node.name}", what, _logs(serving))


def nodes_offer_what_configs_make(world: World) -> Iterator[Finding]:
    """What a node offers is what its config makes of its GPUs."""
    for node in world.nodes:
        serving = [plugin for plugin in world.on(node.name) if plugin.serves and plugin.ready]
        source = world.source_of(serving[0]) if len(serving) == 1 else None
        known = world.maps.get(source.config_map) if source and source.config_map else None
        if source is None or known is None or _reads_later(world, serving[0], known.edited):
            continue
        made = config_of(node, source, known.data)
        wanted = promised(made[1], node) if made else None
        offered = _some(node.allocatable)
        if not (made and wanted and offered) or wanted in (offered, _some(node.capacity)):
            continue
        what = (
            f"offers {counts(offered)}, and key {made[0].key} of "
            f"{'/'.join(source.config_map or ())} makes {counts(wanted)} of its GPUs"
        )
        yield found("allocatable-unlike-config", f"Node {node.name}", what, _logs(serving[0]))


def _reads_later(world: World, plugin: Plugin, edited: datetime | None) -> bool:
    """NVIDIA's plugin has not read the edit, which another rule says; or the agent just does."""
    if plugin.by == "rota":
        return edited is not None and world.now - edited < FOLLOWING
    return not edited or not plugin.started or edited > plugin.started


def _some(devices: Mapping[str, int]) -> dict[str, int]:
    return {name: count for name, count in devices.items() if count}


def _asked_on(world: World, node: GpuNode) -> set[str]:
    return {name for p in world.pods if p.holds and p.node == node.name for name in p.requests}


def _logs(plugin: Plugin) -> str:
    return f"kubectl logs -n {plugin.pod.namespace} {plugin.pod.name} --all-containers"


RULES: tuple[Rule, ...] = (
    somebody_has_gpus,
    plugins_have_registered,
    plugins_are_ready,
    one_plugin_a_node,
    drivers_can_close_gates,
    pods_fit_what_is_offered,
    replicas_are_well,
    nodes_offer_what_configs_make,
)
