"""Where an installation goes: which overlay a cluster needs, which namespace, whose policy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rota.cluster.door import (
    CLUSTER_POLICIES,
    DAEMON_SETS,
    PODS,
    Api,
    NotFound,
    Object,
    View,
    metadata,
)
from rota.cluster.selector import Selector
from rota.cluster.setup import both_labels, makes_nvidias
from rota.deploy.options import OPERATOR, PLUGIN_LABEL, STANDALONE
from rota.errors import RotaError


class TwoPlugins(RotaError):
    """Somebody serves the GPUs of this cluster already."""


class NoOperator(RotaError):
    """There is no GPU operator, or it does not run the plugin."""


class WrongNamespace(RotaError):
    """The operator would not find the ConfigMap."""


@dataclass(frozen=True, slots=True)
class Target:
    """Where it goes.

    Attributes:
        overlay: which way.
        namespace: where; empty where the cluster does not tell and nobody said.
        policy: the ClusterPolicy's name; empty without the operator.
        noted: what a person should hear of how that was found.
    """

    overlay: str
    namespace: str
    policy: str = ""
    noted: str = ""


async def find_target(api: Api, overlay: str, namespace: str) -> Target:
    """Where an installation goes.

    Args:
        api: the door.
        overlay: as a person chose; empty for what the cluster needs.
        namespace: as a person chose; empty for the default, or the operator's own.

    Raises:
        ClusterError: the API did not answer.
        RotaError: it cannot go there; `TwoPlugins`, `NoOperator` or `WrongNamespace`.
    """
    policies = [] if overlay == STANDALONE else await cluster_policies(api)
    overlay = overlay or (OPERATOR if policies else STANDALONE)
    if overlay == STANDALONE:
        await _alone(api)
        return Target(overlay, namespace)
    return await _operators(api, policies, namespace)


async def cluster_policies(api: Api) -> list[Object]:
    """The GPU operator's policies, that in force first; none without the operator."""
    try:
        found = (await api.list(View(CLUSTER_POLICIES), fresh=True)).items
    except NotFound:
        return []
    return sorted(found, key=_rank)


def _rank(policy: Object) -> tuple[bool, str]:
    ignored = (policy.get("status") or {}).get("state") == "ignored"
    return ignored, str(metadata(policy).get("creationTimestamp", ""))


async def _alone(api: Api) -> None:
    """Nobody else serves the GPUs."""
    for one in (await api.list(View(DAEMON_SETS), fresh=True)).items:
        if makes_nvidias(one):
            meta = metadata(one)
            raise TwoPlugins(
                "NVIDIA's device plugin serves this cluster already, and a resource has one plugin",
                where=f"DaemonSet {meta.get('namespace')}/{meta['name']}",
                hint=_way_out(both_labels(one)),
            )


def _way_out(labels: Mapping[str, str]) -> str:
    operators = Selector()
    if labels.get(operators.label) == operators.value:
        return "let Rota run beside it: --overlay gpu-operator"
    return "remove it first; Rota serves the same config in its place"


async def _operators(api: Api, policies: Sequence[Object], given: str) -> Target:
    if not policies:
        hint = "install it first, or choose --overlay standalone"
        raise NoOperator("the GPU operator is not in this cluster: no ClusterPolicy", hint=hint)
    policy = policies[0]
    name = str(metadata(policy)["name"])
    plugin = (policy.get("spec") or {}).get("devicePlugin") or {}
    if plugin.get("enabled") is False:
        hint = "Rota's own plugin can serve the nodes then: --overlay standalone"
        what = "its devicePlugin.enabled is false: no plugin would read the config"
        raise NoOperator(what, where=f"ClusterPolicy {name}", hint=hint)
    found = await _namespace(api, policy)
    if given and found and given != found:
        raise WrongNamespace(
            f"the operator runs in {found}, and reads ConfigMaps of its own namespace only",
            where=f"-n {given}",
            hint=f"leave it out, or write -n {found}",
        )
    noted = f"the operator runs in {found}" if found else "the operator's namespace is not known"
    return Target(OPERATOR, given or found, name, noted)


async def _namespace(api: Api, policy: Object) -> str:
    """The operator's own: as it says itself, else where its plugin's pods or its own are."""
    if said := str((policy.get("status") or {}).get("namespace") or ""):
        return said
    for label in (PLUGIN_LABEL, "app=gpu-operator"):
        view = View(PODS, labels=label, metadata_only=True)
        for pod in (await api.list(view, fresh=True)).items:
            return str(metadata(pod).get("namespace", ""))
    return ""
