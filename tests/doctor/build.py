"""Objects of a cluster as the API server has them, as short as a test wants them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from rota.cluster.door import (
    CLUSTER_POLICIES,
    DAEMON_SETS,
    DEPLOYMENTS,
    NODES,
    PODS,
    QUOTAS,
    Kind,
)
from rota.cluster.gather import Gathered
from rota.config.findings import Finding
from rota.doctor.look import diagnose
from rota.doctor.world import World, world

Thing = dict[str, Any]

GPU = "nvidia.com/gpu"
OPERATOR = "gpu-operator"
NOW = datetime(2026, 11, 25, 15, 0, tzinfo=UTC)
EARLIER, LATER = "2026-11-25T12:00:00Z", "2026-11-25T14:02:00Z"
SHARING = """\
version: v1
sharing:
  timeSlicing:
    resources:
    - name: nvidia.com/gpu
      replicas: 4
"""


def node(
    name: str = "gpu-1", offers: int | None = 4, has: int | None = None, **labels: str
) -> Thing:
    """A node with one GPU; `offers=None`: none registered. `config` and `driver` are labels."""
    names = {"config": "nvidia.com/device-plugin.config", "count": f"{GPU}.count"}
    names |= {"driver": "nvidia.com/cuda.driver-version.full", "sharing": f"{GPU}.sharing-strategy"}
    given = {"count": "1", "driver": "580.95.05", "sharing": "time-slicing"} | labels
    status: Thing = {"conditions": [{"type": "Ready", "status": "True"}]}
    if offers is not None:
        status["allocatable"] = {GPU: str(offers), "cpu": "8"}
        status["capacity"] = {GPU: str(offers if has is None else has), "cpu": "8"}
    made = {names[key]: value for key, value in given.items() if value}
    return {"metadata": {"name": name, "labels": made}, "status": status}


def pod(name: str, asks: int = 1, namespace: str = "default", **more: Any) -> Thing:
    """A running pod on gpu-1; `node`, `phase`, `reason`, `message`, `owner`, `env` change that."""
    owner = more.get("owner", "")
    kind, _, whose = owner.partition(" ")
    container: Thing = {"name": "main", "image": more.get("image", "cuda")}
    if asks:
        container["resources"] = {"limits": {GPU: str(asks)}}
    if "env" in more:
        container["env"] = [{"name": "NVIDIA_VISIBLE_DEVICES", "value": more["env"]}]
    status: Thing = {"phase": more.get("phase", "Running")}
    status |= {key: more[key] for key in ("reason", "message") if key in more}
    where = more.get("node", "gpu-1")
    if not where:
        message = f"0/1 nodes are available: 1 Insufficient {GPU}."
        scheduled = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable"}
        status = {"phase": "Pending", "conditions": [scheduled | {"message": message}]}
    meta: Thing = {"name": name, "namespace": namespace, "uid": f"uid-{name}"}
    if owner:
        meta["ownerReferences"] = [{"kind": kind, "name": whose, "uid": f"uid-{whose}"}]
    return {
        "metadata": meta,
        "spec": {"containers": [container]} | ({"nodeName": where} if where else {}),
        "status": status,
    }


def plugin(node: str = "gpu-1", started: str = LATER, trouble: str = "", **more: Any) -> Thing:
    """NVIDIA's plugin's pod on a node, of the operator's DaemonSet."""
    made = pod(
        f"nvidia-device-plugin-daemonset-{node}", 0, more.get("namespace", OPERATOR), node=node
    )
    made["metadata"]["labels"] = {"app": "nvidia-device-plugin-daemonset"}
    owner = more.get("owner", "nvidia-device-plugin-daemonset")
    made["metadata"]["ownerReferences"] = [{"kind": "DaemonSet", "name": owner, "uid": owner}]
    made["status"]["containerStatuses"] = [_status(started, trouble)]
    return made


def agent(node: str = "gpu-1", *args: str, trouble: str = "", started: str = LATER) -> Thing:
    """Rota's agent's pod on a node."""
    made = pod(f"rota-{node}", 0, "rota", node=node, image="registry/rota:0.1.0")
    made["spec"]["containers"][0]["args"] = ["agent", *args]
    made["metadata"]["ownerReferences"] = [{"kind": "DaemonSet", "name": "rota", "uid": "rota"}]
    made["status"]["containerStatuses"] = [_status(started, trouble)]
    return made


def _status(started: str, trouble: str) -> Thing:
    if trouble:
        reason, _, message = trouble.partition(": ")
        return {"ready": False, "state": {"waiting": {"reason": reason, "message": message}}}
    return {"ready": True, "state": {"running": {"startedAt": started}}}


def agents(*args: str) -> Thing:
    """Rota's DaemonSet."""
    container = {"name": "agent", "image": "registry/rota:0.1.0", "args": ["agent", *args]}
    spec = {"template": {"spec": {"containers": [container]}}}
    return {"metadata": {"name": "rota", "namespace": "rota"}, "spec": spec}


def nvidias(namespace: str = OPERATOR) -> Thing:
    """The DaemonSet of NVIDIA's plugin."""
    labels = {"app": "nvidia-device-plugin-daemonset"}
    meta = {"name": "nvidia-device-plugin-daemonset", "namespace": namespace, "labels": labels}
    return {"metadata": meta, "spec": {"template": {"spec": {"containers": []}}}}


def policy(name: str = "time-slicing-config", default: str = "any") -> Thing:
    """The ClusterPolicy."""
    config = {"name": name} | ({"default": default} if default else {})
    return {
        "apiVersion": "nvidia.com/v1",
        "metadata": {"name": "cluster-policy"},
        "spec": {"devicePlugin": {"config": config}},
    }


def config_map(text: str = SHARING, edited: str = EARLIER, key: str = "any", **more: str) -> Thing:
    """The ConfigMap of the seed; `namespace` for another place."""
    fields: Thing = {"f:data": {".": {}, f"f:{key}": {}}}
    labelled: Thing = {"f:metadata": {"f:labels": {}}}
    written = [
        {"manager": "kubectl", "operation": "Update", "time": edited, "fieldsV1": fields},
        {
            "manager": "x",
            "operation": "Update",
            "time": "2026-11-25T14:59:00Z",
            "fieldsV1": labelled,
        },
    ]
    meta = {"name": "time-slicing-config", "namespace": more.get("namespace", OPERATOR)}
    return {"metadata": meta | {"managedFields": written}, "data": {key: text}}


def event(reason: str, about: str, message: str, at: str = "2026-11-25T14:50:00Z") -> Thing:
    """An Event of an agent."""
    kind, _, place = about.partition(" ")
    namespace, slash, name = place.rpartition("/")
    ref = {"kind": kind, "name": name} | ({"namespace": namespace} if slash else {})
    return {"reason": reason, "involvedObject": ref, "message": message, "lastTimestamp": at}


KINDS = {
    "nodes": NODES, "pods": PODS, "policies": CLUSTER_POLICIES, "sets": DAEMON_SETS,
    "deployments": DEPLOYMENTS, "quotas": QUOTAS,
}  # fmt: skip


def cluster(
    *, maps: tuple[Thing, ...] = (), told: tuple[Thing, ...] = (), **things: list[Thing]
) -> tuple[World, Gathered]:
    """A cluster of these objects, as it is looked at now."""
    found: dict[Kind, tuple[Thing, ...]] = {KINDS[k]: tuple(v) for k, v in things.items()}
    gathered = Gathered(found)
    return world(gathered, maps, told=told, now=NOW), gathered


def said(*, maps: tuple[Thing, ...] = (), **things: Any) -> list[Finding]:
    """What is found in a cluster of these objects; notes too."""
    seen, gathered = cluster(maps=maps, **things)
    return list(diagnose(seen, gathered, maps).findings)


def ids(findings: list[Finding]) -> list[str]:
    """The rules that found something."""
    return [finding.id for finding in findings]


def well() -> dict[str, Any]:
    """A cluster of one node where everything is as it should be."""
    return {
        "nodes": [node()],
        "pods": [plugin(), pod("train-0"), pod("train-1")],
        "policies": [policy()],
        "sets": [nvidias()],
        "maps": (config_map(),),
    }
