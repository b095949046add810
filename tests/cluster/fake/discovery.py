"""What kinds of objects there are, as the API server tells it."""

from __future__ import annotations

from typing import Any

CORE = {
    "pods": "Pod", "configmaps": "ConfigMap", "services": "Service", "serviceaccounts": "ServiceAccount",
    "events": "Event", "resourcequotas": "ResourceQuota", "secrets": "Secret",
}  # fmt: skip
GROUPS = {
    "apps": {"daemonsets": "DaemonSet", "deployments": "Deployment"},
    "rbac.authorization.k8s.io": {"roles": "Role", "rolebindings": "RoleBinding"},
    "coordination.k8s.io": {"leases": "Lease"},
    "example.dev": {"notebooks": "Notebook"},
}
"""Those of namespaces. The last is somebody's own kind."""


def discovered(path: str) -> dict[str, Any] | None:
    """The answer at that path; None where it is not about kinds."""
    match path.strip("/").split("/"):
        case ["apis"]:
            return {"kind": "APIGroupList", "groups": [_group(name) for name in GROUPS]}
        case ["api", "v1"]:
            return _kinds("v1", CORE)
        case ["apis", group, "v1"] if group in GROUPS:
            return _kinds(f"{group}/v1", GROUPS[group])
    return None


def _group(name: str) -> dict[str, Any]:
    return {"name": name, "preferredVersion": {"groupVersion": f"{name}/v1", "version": "v1"}}


def _kinds(version: str, kinds: dict[str, str]) -> dict[str, Any]:
    found = [
        {"name": name, "kind": kind, "namespaced": True, "verbs": ["get", "list", "delete"]}
        for name, kind in kinds.items()
    ]
    status = {"name": "pods/status", "kind": "Pod", "namespaced": True, "verbs": ["get"]}
    return {"kind": "APIResourceList", "groupVersion": version, "resources": [*found, status]}
