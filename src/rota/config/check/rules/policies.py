"""ClusterPolicies: the ConfigMap and the key that they name must be where the operator looks."""

from __future__ import annotations

from collections.abc import Iterator
from difflib import get_close_matches

from rota.config.check.registry import Theme, found
from rota.config.check.world import OPERATOR_NAMESPACES, ConfigMap, Policy, World
from rota.config.document import Mapping
from rota.config.findings import Finding, Level

_PLUGIN = "nvidia-device-plugin-daemonset"


def configmap_is_there(world: World) -> Iterator[Finding]:
    """Every ConfigMap that a policy names is among those read."""
    for policy in world.policies:
        name = policy.config_name
        if name is None or world.named_by(policy):
            continue
        beside = world.maps_beside(policy.build)
        what = f"the policy names ConfigMap `{name.value}`, which is not among what was read"
        level = Level.ERROR if beside else Level.WARNING
        twin = next((m for m in beside if m.manifest.written_name == name.value), None)
        if twin is not None:
            yield _renamed_by_kustomize(str(name.value), twin, policy)
        else:
            hint = _nearest_map(str(name.value), beside)
            yield found("policy-configmap", name.mark, what, hint, level=level)


def _renamed_by_kustomize(name: str, twin: ConfigMap, policy: Policy) -> Finding:
    place = policy.config_name or policy
    if twin.manifest.hashed:
        what = (
            f"kustomize appends a hash to the name of ConfigMap `{name}`, "
            "and does not change the policy that names it"
        )
        hint = "set `generatorOptions: {disableNameSuffixHash: true}` in kustomization.yaml"
    else:
        what = (
            f"kustomize renames ConfigMap `{name}` to `{twin.manifest.name}`, "
            "and does not change the policy that names it"
        )
        hint = f"name `{twin.manifest.name}` in the policy, or drop namePrefix and nameSuffix"
    return found("policy-renamed-configmap", place.mark, what, hint)


def _nearest_map(name: str, beside: tuple[ConfigMap, ...]) -> str:
    names = [m.manifest.name for m in beside]
    if not names:
        return "give its file too, and it is checked with the policy"
    with_configs = [m.manifest.name for m in beside if m.has_configs]
    near = get_close_matches(name, names, 1, 0.6) or with_configs[:1]
    return f"did you mean `{near[0]}`?" if near else ""


def namespace_is_the_operators(world: World) -> Iterator[Finding]:
    """The ConfigMap is in the namespace of the operator, where alone it is looked for."""
    for policy in world.policies:
        maps = world.named_by(policy)
        expected = _operator_namespaces(world, policy)
        if not maps or any(_fits(m.manifest.namespace, expected) for m in maps):
            continue
        yield _misplaced(maps[0], expected)


def _misplaced(config_map: ConfigMap, expected: tuple[str, ...]) -> Finding:
    namespace = config_map.manifest.namespace
    home = expected[0] if expected else OPERATOR_NAMESPACES[0]
    place = config_map.manifest.mark
    name = config_map.manifest.name
    if not namespace:
        what = f"ConfigMap `{name}` says no namespace, so it goes where kubectl happens to point"
        hint = f"set `namespace: {home}`, the operator's own"
        return found("policy-namespace", place, what, hint, level=Level.WARNING)
    what = (
        f"ConfigMap `{name}` is in namespace `{namespace}`, "
        "and the policy's operator looks in its own only"
    )
    known = f"`{home}`" if expected else " or ".join(f"`{n}`" for n in OPERATOR_NAMESPACES[:2])
    return found("policy-namespace", place, what, f"put it in {known}, where the operator runs")


def _operator_namespaces(world: World, policy: Policy) -> tuple[str, ...]:
    """Where the operator lives, as far as what was read tells; empty where nothing does."""
    told = [policy.namespace] if policy.namespace else []
    told += [s.namespace for s in world.steps if s.name == _PLUGIN and s.namespace]
    return tuple(dict.fromkeys(told))


def _fits(namespace: str, expected: tuple[str, ...]) -> bool:
    if not namespace:
        return False
    if expected:
        return namespace in expected
    return "gpu" in namespace or "nvidia" in namespace


def default_is_a_key(world: World) -> Iterator[Finding]:
    """The default that a policy names is a key of its ConfigMap."""
    for policy in world.policies:
        default, maps = policy.default, world.named_by(policy)
        keys = [key for m in maps for key in m.keys]
        if default is None or not maps or default.value in keys:
            continue
        what = (
            f"the policy's default `{default.value}` is no key of ConfigMap "
            f"`{maps[0].manifest.name}`: no node without a label gets GPUs"
        )
        yield found("policy-default", default.mark, what, _which_key(str(default.value), keys))


def _which_key(wrong: str, keys: list[str]) -> str:
    if not keys:
        return "the ConfigMap has no keys at all"
    near = get_close_matches(wrong, keys, 1, 0.5)
    if near or len(keys) == 1:
        return f"write `{(near or keys)[0]}`"
    return "its keys are " + ", ".join(f"`{key}`" for key in keys)


def default_is_given(world: World) -> Iterator[Finding]:
    """A policy with a ConfigMap has a default, or nodes are labelled."""
    for policy in world.policies:
        name = policy.config_name
        if name is None or policy.default is not None or policy.partial or world.labels:
            continue
        keys = [key for m in world.named_by(policy) for key in m.keys]
        hint = f"add `default: {keys[0]}`" if keys else "add a default, or label the nodes"
        what = "the policy names no default, so a node without a label is not shared"
        yield found("policy-no-default", name.mark, what, hint)


def labels_are_keys(world: World) -> Iterator[Finding]:
    """The config that a node's label asks for is a key of a ConfigMap."""
    keys = [key for m in world.config_maps if m.has_configs for key in m.keys]
    for label in world.labels:
        if keys and label.key not in keys:
            what = f"the node's label asks for config `{label.key}`, which no ConfigMap has"
            yield found("label-key", label.mark, what, _which_key(label.key, keys))


def shape(world: World) -> Iterator[Finding]:
    """`devicePlugin.config` is a map of `name` and `default`."""
    for policy in world.policies:
        if policy.config is None:
            continue
        if not isinstance(policy.config, Mapping):
            what = "devicePlugin.config must be a map with `name` and `default`"
            yield found("policy-shape", policy.config.mark, what)
            continue
        for entry in policy.config.entries:
            if entry.key not in ("name", "default", "create", "data"):
                near = get_close_matches(entry.key, ("name", "default"), 1, 0.4)
                hint = f"did you mean `{near[0]}`?" if near else "it has `name` and `default` only"
                what = f"devicePlugin.config has no field `{entry.key}`"
                yield found("policy-shape", entry.mark, what, hint)


THEME = Theme(
    "policies",
    (
        configmap_is_there,
        namespace_is_the_operators,
        default_is_a_key,
        default_is_given,
        labels_are_keys,
        shape,
    ),
)
