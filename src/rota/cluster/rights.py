"""Every right that the agent uses, and no more; manifests are made from this one table.

A right that is marked optional may be missing: what it is for does not happen then, the agent says
so once, and everything else goes on.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from rota.cluster.door import CONFIG_MAPS, EVENTS, EVICTIONS, LEASES, NODES, PODS, Kind

Names: TypeAlias = Mapping[Kind, tuple[str, ...]]

Where = Literal["cluster", "config", "plugin"]
"""All of the cluster, the ConfigMap's namespace, or that of NVIDIA's plugin."""

LEASE = "rota-plugin-restart"


@dataclass(frozen=True, slots=True)
class Right:
    """One rule.

    Attributes:
        kind: of which objects.
        verbs: what may be done.
        where: in which namespaces.
        what: what it is for, and what does not happen without it.
        optional: the agent serves without it.
        names: only these objects; empty for all. RBAC cannot say "its own node", which is why
            those on nodes and pods are for all of them.
        mode: `beside` where it is used only beside NVIDIA's plugin, `evict` only where the config
            says `rota.memory.evict`.
    """

    kind: Kind
    verbs: tuple[str, ...]
    where: Where
    what: str
    optional: bool = True
    names: tuple[str, ...] = ()
    mode: Literal["", "beside", "evict"] = ""


RIGHTS = (
    Right(
        CONFIG_MAPS, ("list", "watch"), "config", "the config: an edit is served in seconds",
        optional=False,
    ),
    Right(NODES, ("list", "watch"), "cluster", "this node's own label: a config of its own"),
    Right(NODES, ("patch",), "cluster", "labels of this node"),
    Right(PODS, ("list", "watch"), "cluster", "this node's pods: annotations, and who is deleted"),
    Right(EVENTS, ("create", "patch"), "cluster", "Events on pods, on the node and the ConfigMap"),
    Right(
        EVICTIONS, ("create",), "cluster", "eviction of the pod that is furthest over its limit, "
        "before the GPU is full", mode="evict",
    ),
    Right(
        PODS, ("get", "delete"), "plugin", "restart of NVIDIA's plugin after an edit", mode="beside"
    ),
    Right(LEASES, ("create",), "plugin", "restart of one node at a time", mode="beside"),
    Right(
        LEASES, ("get", "update"), "plugin", "restart of one node at a time", names=(LEASE,),
        mode="beside",
    ),
)  # fmt: skip


def used(*, beside: bool = False, evict: bool = False) -> tuple[Right, ...]:
    """The rights of an agent that serves alone, or beside NVIDIA's plugin, and may evict or not."""
    modes = {"", *(["beside"] if beside else []), *(["evict"] if evict else [])}
    return tuple(right for right in RIGHTS if right.mode in modes)


def manifests(
    namespace: str,
    *,
    account: str = "rota",
    config_namespace: str = "",
    config_name: str = "",
    plugin_namespace: str = "",
    evict: bool = False,
) -> list[dict[str, Any]]:
    """A ClusterRole, the Roles, and their bindings for a service account.

    Args:
        namespace: the service account's.
        account: its name; the roles are named after it.
        config_namespace: the ConfigMap's namespace; the account's own where empty.
        config_name: the ConfigMap; empty for all of that namespace.
        plugin_namespace: of NVIDIA's plugin; empty where the agent does not run beside it.
        evict: some config says `rota.memory.evict`.
    """
    rights = used(beside=bool(plugin_namespace), evict=evict)
    places = {"config": config_namespace or namespace, "plugin": plugin_namespace}
    names: Names = {CONFIG_MAPS: (config_name,)} if config_name else {}
    made = [_role("ClusterRole", account, "", _rules(rights, "cluster", names))]
    made.append(_binding("ClusterRole", account, "", namespace))
    for where, place in places.items():
        if rules := _rules(rights, where, names):
            name = f"{account}-{where}"
            made += [
                _role("Role", name, place, rules),
                _binding("Role", name, place, namespace, account),
            ]
    return made


def _rules(rights: Iterable[Right], where: str, names: Names) -> list[dict[str, Any]]:
    rules = []
    for right in rights:
        if right.where == where:
            rule: dict[str, Any] = {
                "apiGroups": [right.kind.group],
                "resources": [right.kind.plural],
                "verbs": list(right.verbs),
            }
            only: Sequence[str] = right.names or names.get(right.kind, ())
            rules.append(rule | ({"resourceNames": list(only)} if only else {}))
    return rules


_RBAC = "rbac.authorization.k8s.io"


def _role(kind: str, name: str, namespace: str, rules: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "apiVersion": f"{_RBAC}/v1",
        "kind": kind,
        "metadata": _meta(name, namespace),
        "rules": rules,
    }


def _binding(
    kind: str, name: str, namespace: str, account_namespace: str, account: str = ""
) -> dict[str, Any]:
    subject = {
        "kind": "ServiceAccount", "name": account or name, "namespace": account_namespace,
    }  # fmt: skip
    return {
        "apiVersion": f"{_RBAC}/v1",
        "kind": f"{kind}Binding",
        "metadata": _meta(name, namespace),
        "roleRef": {"apiGroup": _RBAC, "kind": kind, "name": name},
        "subjects": [subject],
    }


def _meta(name: str, namespace: str) -> dict[str, str]:
    return {"name": name} | ({"namespace": namespace} if namespace else {})


def table() -> str:
    """The rights as a table, for the reference page."""
    lines = ["| objects | verbs | in | what for | needed |", "| --- | --- | --- | --- | --- |"]
    places = {
        "cluster": "the cluster",
        "config": "the ConfigMap's namespace",
        "plugin": "the plugin's namespace",
    }
    for right in RIGHTS:
        need = "for that" if right.optional else "with `--config-map`"
        only = f" ({', '.join(right.names)})" if right.names else ""
        lines.append(
            f"| {right.kind.plural}{only} | {', '.join(right.verbs)} | {places[right.where]} "
            f"| {right.what} | {need} |"
        )
    return "\n".join(lines)
