"""The kinds of objects that an installation is made of, as URLs name them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rota.cluster.door import (
    CLUSTER_POLICIES,
    CONFIG_MAPS,
    DAEMON_SETS,
    LEASES,
    NAMESPACES,
    QUOTAS,
    Kind,
    metadata,
)

_RBAC = "rbac.authorization.k8s.io"

ACCOUNTS = Kind("serviceaccounts", "ServiceAccount")
SERVICES = Kind("services", "Service")
CLUSTER_ROLES = Kind("clusterroles", "ClusterRole", _RBAC)
CLUSTER_BINDINGS = Kind("clusterrolebindings", "ClusterRoleBinding", _RBAC)
ROLES = Kind("roles", "Role", _RBAC)
BINDINGS = Kind("rolebindings", "RoleBinding", _RBAC)

KINDS = (
    NAMESPACES,
    QUOTAS,
    ACCOUNTS,
    CLUSTER_ROLES,
    CLUSTER_BINDINGS,
    ROLES,
    BINDINGS,
    CONFIG_MAPS,
    SERVICES,
    DAEMON_SETS,
    CLUSTER_POLICIES,
)
"""In the order in which they are made."""

UNDO = (
    CLUSTER_POLICIES,
    DAEMON_SETS,
    SERVICES,
    LEASES,
    BINDINGS,
    ROLES,
    CLUSTER_BINDINGS,
    CLUSTER_ROLES,
    ACCOUNTS,
    QUOTAS,
    CONFIG_MAPS,
    NAMESPACES,
)
"""In the order in which they go: first what names the ConfigMap, and the ConfigMap nearly last, so
that it tells what is still to be undone. Another order than that of making, for both reasons."""

_BY_KIND = {kind.kind: kind for kind in KINDS}


def kind_of(thing: Mapping[str, Any]) -> Kind:
    """The kind of a manifest of ours."""
    return _BY_KIND[str(thing["kind"])]


def place_of(thing: Mapping[str, Any]) -> tuple[str, str]:
    """Its namespace, empty where it has none, and its name."""
    meta = metadata(thing)
    return str(meta.get("namespace", "")), str(meta["name"])


def title(kind: Kind, name: str, namespace: str = "") -> str:
    """As a person would call it."""
    return f"{kind.kind} {f'{namespace}/' if namespace else ''}{name}"
