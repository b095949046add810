"""Every object of an installation, in the order in which a cluster takes them. Pure."""

from __future__ import annotations

from rota.cluster.rights import manifests as rights
from rota.deploy.daemonset import NAME, NAMES, Thing, daemon_set
from rota.deploy.options import Options, checked
from rota.deploy.source import configs

POLICY_API = "nvidia.com/v1"
"""API version of the GPU operator's ClusterPolicy."""


def manifests(options: Options) -> list[Thing]:
    """All objects, except a change of the ClusterPolicy, which is the operator's.

    Raises:
        UsageError: there is no such overlay, or no such component.
    """
    checked(options)
    made = [] if options.beside else [namespace(options)]
    if "priority-quota" in options.components:
        made.append(priority_quota(options))
    made.append(account(options))
    made += access(options)
    return [*made, config_map(options), service(options), daemon_set(options)]


def namespace(options: Options) -> Thing:
    """The namespace, where the operator has not made it: pods that see the node need a label."""
    levels = {f"pod-security.kubernetes.io/{mode}": "privileged" for mode in ("enforce", "warn")}
    meta = {"name": options.namespace, "labels": levels}
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": meta}


def account(options: Options) -> Thing:
    """Who the agent is."""
    return {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": _meta(options, NAME)}


def access(options: Options) -> list[Thing]:
    """What the agent may: the table of its rights, as roles and bindings."""
    plugin = options.namespace if options.beside else ""
    evict = any(config.rota.memory.evict for config in configs(options.data).values())
    made = rights(
        options.namespace, account=NAME, config_name=options.config_map, plugin_namespace=plugin,
        evict=evict,
    )  # fmt: skip
    return [{**one, "metadata": {**one["metadata"], "labels": dict(NAMES)}} for one in made]


def config_map(options: Options) -> Thing:
    """The config, as NVIDIA's plugin takes it too."""
    meta = _meta(options, options.config_map)
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": dict(options.data)}


def service(options: Options) -> Thing:
    """Where Prometheus finds the agents' figures."""
    port = int(options.port)
    spec = {
        "clusterIP": "None",
        "selector": dict(NAMES),
        "ports": [{"name": "metrics", "port": port, "targetPort": "metrics"}],
    }
    meta = _meta(options, NAME)
    return {"apiVersion": "v1", "kind": "Service", "metadata": meta, "spec": spec}


def priority_quota(options: Options) -> Thing:
    """A quota that names the DaemonSet's priority, without which GKE keeps its pods out."""
    scope = {
        "scopeName": "PriorityClass",
        "operator": "In",
        "values": ["system-node-critical"],
    }
    return {
        "apiVersion": "v1",
        "kind": "ResourceQuota",
        "metadata": _meta(options, "rota-priority"),
        "spec": {"hard": {"pods": "1k"}, "scopeSelector": {"matchExpressions": [scope]}},
    }


def policy_change(name: str, options: Options) -> Thing:
    """What the GPU operator has to know: which ConfigMap its plugin reads, and which key of it."""
    config = {"name": options.config_map, "default": options.config_key}
    return {
        "apiVersion": POLICY_API,
        "kind": "ClusterPolicy",
        "metadata": {"name": name},
        "spec": {"devicePlugin": {"config": config}},
    }


def _meta(options: Options, name: str) -> Thing:
    return {"name": name, "namespace": options.namespace, "labels": dict(NAMES)}
