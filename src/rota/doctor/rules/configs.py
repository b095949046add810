"""ConfigMaps: there, with the keys that are asked for, and read since they were edited."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from datetime import timedelta

from rota.cluster.chosen import LABEL
from rota.cluster.reasons import CONFIG_REFUSED, CONFIG_SERVED
from rota.cluster.setup import Source
from rota.config.findings import Finding, Level
from rota.config.report import listed, nearest
from rota.doctor.registry import Rule, found
from rota.doctor.rules.words import some
from rota.doctor.world import Place, Plugin, Told, World

SAME = timedelta(seconds=2)
"""The API tells times in whole seconds: an edit and a start within two may be in any order."""


def config_maps_are_there(world: World) -> Iterator[Finding]:
    """Every ConfigMap that is named is where its reader looks."""
    for source in world.sources:
        place = source.config_map
        unread = "configmaps" in world.unread or f"ConfigMap {_text(place)}" in world.unread
        if place is None or place in world.maps or unread:
            continue
        others = sorted(where for where, name in world.elsewhere if name == place[1])
        what = f"names ConfigMap {_text(place)}, which is not there"
        hint = f"kubectl create configmap {place[1]} -n {place[0]} --from-file any=config.yaml"
        if others:
            what += f"; one of that name is in {some(others)}"
            hint = (
                f"kubectl get configmap {place[1]} -n {others[0]} -o yaml | sed "
                f"'s/namespace: {others[0]}/namespace: {place[0]}/' | kubectl apply -f -"
            )
        yield found("configmap-missing", source.title, what, hint)


def defaults_are_keys(world: World) -> Iterator[Finding]:
    """The default that a policy or a DaemonSet names is a key."""
    for source, place, keys in _known(world):
        if source.default and source.default not in keys:
            what = f"its default `{source.default}` is no key of ConfigMap {_text(place)}"
            yield found("key-missing", source.title, what, _keys(source.default, keys))


def labels_are_keys(world: World) -> Iterator[Finding]:
    """The config that a node's label asks for is a key."""
    for node in world.nodes:
        label = node.labels.get(LABEL, "")
        for _, place, keys in _known(world) if label else ():
            if label in keys:
                continue
            near = nearest(label, keys) or next(iter(sorted(keys)), "KEY")
            what = (
                f"its label {LABEL} names the key `{label}`, which ConfigMap "
                f"{_text(place)} does not have"
            )
            hint = f"kubectl label node {node.name} {LABEL}={near} --overwrite"
            yield found("key-missing", f"Node {node.name}", what, hint)
            break


def nvidias_plugin_has_read_it(world: World) -> Iterator[Finding]:
    """NVIDIA's plugin has started since its ConfigMap was edited."""
    late: defaultdict[Place, list[Plugin]] = defaultdict(list)
    for plugin in world.plugins:
        source = world.source_of(plugin) if plugin.by == "nvidia" else None
        place = source.config_map if source else None
        known = world.maps.get(place) if place else None
        edited = known.edited if known else None
        if place and edited and plugin.started and edited > plugin.started + SAME:
            late[place].append(plugin)
    for place, plugins in late.items():
        at = world.maps[place].edited
        nodes = some((plugin.pod.node for plugin in plugins), "more nodes")
        what = f"edited at {at:%Y-%m-%d %H:%M:%S}, and NVIDIA's plugin on {nodes} started before"
        name = next((p.daemon_set for p in plugins if p.daemon_set), "")
        hint = f"kubectl rollout restart daemonset/{name or '…'} -n {plugins[0].pod.namespace}"
        level = None
        if all(_is_restarted(world, plugin) for plugin in plugins):
            what += "; Rota's agents restart it, one node after the other"
            level, hint = Level.WARNING, f"wait, or {hint}"
        yield found("config-not-reread", f"ConfigMap {_text(place)}", what, hint, level=level)


def _is_restarted(world: World, plugin: Plugin) -> bool:
    """An agent that stands beside it restarts it after an edit that checks out."""
    return any(other.beside and other.ready for other in world.on(plugin.pod.node))


def agents_take_it(world: World) -> Iterator[Finding]:
    """No agent's last word about its config is that it was refused."""
    last: dict[str, Told] = {}
    served: dict[str, Told] = {}
    for told in sorted(world.told, key=lambda told: str(told.at or "")):
        if told.reason == CONFIG_REFUSED.name:
            last[told.about] = told
        elif told.reason == CONFIG_SERVED.name:
            served[told.about] = told
    newest = max((t.at for t in served.values() if t.at), default=None)
    for about, told in last.items():
        after = served[about].at if about in served else newest
        if after and told.at and after >= told.at:
            continue
        place = next((s.config_map for s in world.sources if s.by == "rota" and s.config_map), None)
        hint = f"kubectl edit configmap {place[1]} -n {place[0]}" if place else "edit its config"
        yield found("config-refused", about, f"the last edit was refused: {told.message}", hint)


def _known(world: World) -> Iterator[tuple[Source, Place, set[str]]]:
    for source in world.sources:
        if source.config_map and source.config_map in world.maps:
            yield source, source.config_map, set(world.maps[source.config_map].data)


def _keys(wrong: str, keys: set[str]) -> str:
    near = nearest(wrong, keys)
    return f"write `{near}`" if near else f"its keys are {listed(sorted(keys)) or 'none'}"


def _text(place: Place | None) -> str:
    return "/".join(place or ())


RULES: tuple[Rule, ...] = (
    config_maps_are_there,
    defaults_are_keys,
    labels_are_keys,
    nvidias_plugin_has_read_it,
    agents_take_it,
)
