"""Rollback steps: they take away what was applied, under its name, in its namespace, in order."""

from __future__ import annotations

from collections.abc import Iterator
from difflib import get_close_matches

from rota.config.check.patches import PatchMiss, apply_json_patch, is_json_patch
from rota.config.check.policies import CONFIG
from rota.config.check.registry import Theme, found
from rota.config.check.world import ConfigMap, Step, World
from rota.config.document import Entry, Mapping, Node, Sequence, find, text_of
from rota.config.findings import Finding


def _applied(world: World) -> list[ConfigMap]:
    named = {p.config_name.value for p in world.policies if p.config_name}
    return [m for m in world.config_maps if m.has_configs or m.manifest.name in named]


def _deletions(world: World, kind: str) -> list[Step]:
    return [s for s in world.steps if s.verb == "delete" and s.kind == kind and s.name]


def name_is_the_applied(world: World) -> Iterator[Finding]:
    """A step that deletes a ConfigMap deletes the one that was applied."""
    applied = _applied(world)
    there = {m.manifest.name for m in world.config_maps if not m.manifest.hashed}
    deletions = _deletions(world, "configmap")
    left = [m for m in applied if m.manifest.name not in {d.name for d in deletions} & there]
    for step in deletions:
        near = get_close_matches(step.name, [m.manifest.name for m in applied], 1, 0.7)
        if step.name in there or not (left or near):
            continue
        actual = near[0] if near else left[0].manifest.name
        what = f"this deletes ConfigMap `{step.name}`, and the one applied is `{actual}`"
        hashed = any(m.manifest.hashed and m.manifest.name == step.name for m in left)
        if hashed:
            what = f"ConfigMap `{step.name}` is applied with a hash after its name: this misses it"
        hint = "delete with kubectl delete -k, or set disableNameSuffixHash" if hashed else ""
        yield found("rollback-name", step.mark, what, hint or f"write `configmap {actual}`")


def namespace_is_the_applied(world: World) -> Iterator[Finding]:
    """A step that deletes a ConfigMap looks in the namespace where it was applied."""
    for step in _deletions(world, "configmap"):
        homes = [m.manifest.namespace for m in world.config_maps if m.manifest.name == step.name]
        homes = [home for home in homes if home]
        if not homes or step.namespace in homes or _unknown_namespace(step):
            continue
        where = f"in namespace `{step.namespace}`" if step.namespace else "in no named namespace"
        what = f"this deletes ConfigMap `{step.name}` {where}, and it was applied in `{homes[0]}`"
        yield found("rollback-namespace", step.mark, what, f"write `-n {homes[0]}`")


def _unknown_namespace(step: Step) -> bool:
    return not step.namespace and any("$" in word or "{" in word for word in step.words)


def policy_is_the_patched(world: World) -> Iterator[Finding]:
    """A step that patches or deletes a ClusterPolicy names the one that there is."""
    names = sorted({p.name for p in world.policies if p.name})
    for step in world.steps:
        removes = step.verb == "patch" and step.patch is not None and _clears(step.patch)
        if step.kind != "clusterpolicy" or not step.name or not removes:
            continue
        others = [p.name for p in world.policies if p.name and p.mark != step.mark]
        if names and others and step.name not in others:
            what = f"this patches ClusterPolicy `{step.name}`, and the set-up's is `{others[0]}`"
            yield found("rollback-policy", step.mark, what, f"write `clusterpolicy {others[0]}`")


def removed_path_is_there(world: World) -> Iterator[Finding]:
    """A JSON patch that removes something removes what a set-up put there."""
    policies = [p for p in world.policies if p.config is not None]
    for step in world.steps:
        patch = step.patch
        if step.kind != "clusterpolicy" or not isinstance(patch, Sequence) or not policies:
            continue
        if not is_json_patch(patch) or not _only_removes(patch):
            continue
        config = policies[0].config
        base = _nested(CONFIG, config) if config else None
        try:
            apply_json_patch(base, patch) if base else None
        except PatchMiss as miss:
            what = (
                f"the set-up puts nothing at {miss.path}, so the patch fails and nothing is undone"
            )
            hint = f"write `/{'/'.join(CONFIG)}`"
            yield found("patch-path", step.mark, what, hint)


def policy_before_configmap(world: World) -> Iterator[Finding]:
    """The policy stops naming the ConfigMap before the ConfigMap goes."""
    named = {p.config_name.value for p in world.policies if p.config_name}
    for number, step in enumerate(world.steps):
        if step.verb != "delete" or step.kind != "configmap" or not step.name:
            continue
        if named and step.name not in named:
            continue
        later = [s for s in world.steps[number:] if s.mark.file == step.mark.file]
        if any(s.kind == "clusterpolicy" and s.patch and _clears(s.patch) for s in later):
            what = (
                "the ConfigMap goes before the policy stops naming it: a device plugin that starts "
                "between the two cannot"
            )
            yield found("rollback-order", step.mark, what, "patch the policy first")


def plugin_namespace(world: World) -> Iterator[Finding]:
    """A restart of the device plugin happens where the ConfigMap is."""
    named = {p.config_name.value for p in world.policies if p.config_name}
    alone = [m.manifest for m in _applied(world) if m.manifest.name not in named]
    homes = {manifest.namespace for manifest in alone if manifest.namespace}
    for step in world.steps:
        restart = step.verb == "rollout restart" and "device-plugin" in step.name
        if restart and homes and step.namespace and step.namespace not in homes:
            home = sorted(homes)[0]
            what = f"this restarts {step.name} in `{step.namespace}`, and the config is in `{home}`"
            yield found("restart-namespace", step.mark, what, f"write `-n {home}`")


def _clears(patch: Node) -> bool:
    """Whether a patch takes the device plugin's config out of a policy."""
    if isinstance(patch, Sequence):
        return _only_removes(patch)
    config = find(patch, *CONFIG)
    plain = find(patch, *CONFIG[:-1])
    named = text_of(find(config, "name"))
    return isinstance(plain, Mapping) and plain.entry("config") is not None and not named


def _only_removes(patch: Sequence) -> bool:
    verbs = {text_of(find(item, "op")) for item in patch.items}
    return bool(verbs) and verbs <= {"remove", "test"}


def _nested(path: tuple[str, ...], node: Node) -> Node:
    for key in reversed(path):
        node = Mapping(node.mark, (Entry(key, node.mark, node),))
    return node


THEME = Theme(
    "rollback",
    (
        name_is_the_applied,
        namespace_is_the_applied,
        policy_is_the_patched,
        removed_path_is_there,
        policy_before_configmap,
        plugin_namespace,
    ),
)
