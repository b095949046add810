"""The DaemonSet: one pod a node, of two containers that are restarted each on its own.

Every right that it has is one that was measured to be needed (`docs/results.md`), and says so
(`REASONS`). Resources are what was measured, with room: a container that is ended for memory opens
every gate first, but its node has no turns meanwhile.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

from rota.deploy.options import PLUGIN_LABEL, Options

Thing: TypeAlias = dict[str, Any]

NAME = "rota"
NAMES = {"app.kubernetes.io/name": NAME}
"""What selects its pods, and what the ServiceMonitor looks for."""

CAPABILITIES = ("SYS_PTRACE", "DAC_OVERRIDE")

KUBELET = "/var/lib/kubelet"

AGENT = {"requests": {"cpu": "50m", "memory": "96Mi"}, "limits": {"memory": "256Mi"}}
GATEKEEPER = {"requests": {"cpu": "100m", "memory": "64Mi"}, "limits": {"memory": "256Mi"}}

_POD = ("spec", "template", "spec")
_BOTH = [(*_POD, "containers", number) for number in (0, 1)]

REASONS: Mapping[tuple[str | int, ...], str] = {
    ("spec", "updateStrategy", "rollingUpdate", "maxUnavailable"): "one node after the other",
    (*_POD, "priorityClassName"): "without its plugin a node has no GPUs to give",
    (*_POD, "hostPID"): "NVML and the kubelet's cgroups name processes by the node's own ids",
    (*_POD, "runtimeClassName"): "brings the driver's libraries and devices into both containers",
    (*_POD, "securityContext", "appArmorProfile"): (
        "the runtime's profile forbids to look at pods that run under another one"
    ),
    (*_POD, "affinity"): "the nodes that NVIDIA's own plugin goes to",
    **{
        (*where, "securityContext", "capabilities", "add", 0): (
            "closes and opens the gate of any process, and sees that it waits there: measured, root "
            "without it gets CUDA_ERROR_OPERATING_SYSTEM"
        )
        for where in _BOTH
    },
    **{
        (*where, "securityContext", "capabilities", "add", 1): (
            "the same for processes of other users: measured, SYS_PTRACE alone reaches root's only"
        )
        for where in _BOTH
    },
    (*_BOTH[0], "resources"): (
        "measured: 68 MB with 100,000 pods gone by; 0.2 % of a core idle, 3 to 5 % while it tells "
        "figures. No limit of processor time: throttled, it answers the kubelet late"
    ),
    (*_BOTH[1], "resources"): (
        "measured: 17 MB before the driver's library; 4 to 20 % of a core while programs contend. "
        "No limit of processor time: throttled, each turn begins late"
    ),
    (*_BOTH[1], "readinessProbe"): (
        "no liveness probe: the agent beats to it, and kills one that hangs"
    ),
}
"""Path in the DaemonSet → why, as a comment in the manifest."""


def daemon_set(options: Options) -> Thing:
    """The DaemonSet of one installation."""
    meta = {"name": NAME, "namespace": options.namespace, "labels": dict(NAMES)}
    return {
        "apiVersion": "apps/v1",
        "kind": "DaemonSet",
        "metadata": meta,
        "spec": {
            "selector": {"matchLabels": dict(NAMES)},
            "updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 1}},
            "template": {"metadata": {"labels": dict(NAMES)}, "spec": _pod(options)},
        },
    }


def _pod(options: Options) -> Thing:
    runtime = {"runtimeClassName": options.runtime_class} if options.runtime_class else {}
    secret = options.pull_secret
    return {
        "serviceAccountName": NAME,
        "priorityClassName": "system-node-critical",
        **runtime,
        **({"imagePullSecrets": [{"name": secret}]} if secret else {}),
        "hostPID": True,
        "terminationGracePeriodSeconds": 30,
        "securityContext": {
            "seccompProfile": {"type": "RuntimeDefault"},
            "appArmorProfile": {"type": "Unconfined"},
        },
        "affinity": _affinity(),
        "tolerations": [
            {"key": "CriticalAddonsOnly", "operator": "Exists"},
            {"key": "nvidia.com/gpu", "operator": "Exists"},
        ],
        "containers": [_agent(options), _gatekeeper(options)],
        "volumes": _volumes(options),
    }


def _affinity() -> Thing:
    """As NVIDIA's plugin: node feature discovery's word for its PCI vendor, Tegra, or a label."""
    found = {
        "feature.node.kubernetes.io/pci-10de.present": "true",
        "feature.node.kubernetes.io/cpu-model.vendor_id": "NVIDIA",
        "nvidia.com/gpu.present": "true",
    }
    terms = [
        {"matchExpressions": [{"key": key, "operator": "In", "values": [value]}]}
        for key, value in found.items()
    ]
    wanted = {"nodeSelectorTerms": terms}
    return {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": wanted}}


def agent_args(options: Options) -> list[str]:
    """The agent's command line; `$(NAMESPACE)` is the pod's own, wherever kustomize puts it."""
    args = [
        "agent",
        f"--config-map=$(NAMESPACE)/{options.config_map}",
        f"--config-key={options.config_key}",
        f"--listen=:{options.port}",
        "--gatekeeper-elsewhere",
        "--log=json",
        f"--log-level={options.log_level}",
    ]
    if "token" in options.components:
        args.append("--token-file=/etc/rota/token/token")
    if options.beside:  # last, as in kustomize: an overlay's patches come after its components
        args += [f"--beside-nvidia=$(NAMESPACE)/{PLUGIN_LABEL}", "--labels=own"]
    return args


def _agent(options: Options) -> Thing:
    port = int(options.port)
    return {
        "name": "agent",
        **_image(options),
        "args": agent_args(options),
        "env": [
            _from_pod("NODE_NAME", "spec.nodeName"),
            _from_pod("NAMESPACE", "metadata.namespace"),
            *_driver(),
        ],
        "ports": [{"name": "metrics", "containerPort": port}],
        "startupProbe": _probe("/healthz", 2, 60),
        "readinessProbe": _probe("/readyz", 5, 3),
        "livenessProbe": _probe("/healthz", 20, 3),
        "resources": AGENT,
        "securityContext": _rights(),
        "volumeMounts": [
            {"name": "run", "mountPath": "/run/rota"},
            _plugins(options),
            {"name": "pod-resources", "mountPath": f"{KUBELET}/pod-resources", "readOnly": True},
            {"name": "log-pods", "mountPath": "/var/log/pods", "readOnly": True},
            {"name": "log-containers", "mountPath": "/var/log/containers", "readOnly": True},
            *_extra_mounts(options),
        ],
    }


def _plugins(options: Options) -> Thing:
    """Beside NVIDIA's plugin nothing is put there; it is only held, so that one agent runs."""
    mount = {"name": "device-plugins", "mountPath": f"{KUBELET}/device-plugins"}
    return mount | ({"readOnly": True} if options.beside else {})


def _gatekeeper(options: Options) -> Thing:
    socket = ["test", "-S", "/run/rota/gatekeeper.sock"]
    return {
        "name": "gatekeeper",
        **_image(options),
        "args": ["gatekeeper", "--run-dir=/run/rota"],
        "env": _driver(),
        "readinessProbe": {"exec": {"command": socket}, "periodSeconds": 10, "timeoutSeconds": 5},
        "resources": GATEKEEPER,
        "securityContext": _rights(),
        "volumeMounts": [
            {"name": "run", "mountPath": "/run/rota"},
            {"name": "cgroup", "mountPath": "/host/sys/fs/cgroup", "readOnly": True},
        ],
    }


def _image(options: Options) -> Thing:
    return {
        "image": options.image,
        "imagePullPolicy": options.pull_policy,
        "command": ["rota"],
    }


def _driver() -> list[Thing]:
    return [
        {"name": "NVIDIA_VISIBLE_DEVICES", "value": "all"},
        {"name": "NVIDIA_DRIVER_CAPABILITIES", "value": "compute,utility"},
    ]


def _rights() -> Thing:
    return {
        "runAsUser": 0,
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"], "add": list(CAPABILITIES)},
    }


def _from_pod(name: str, path: str) -> Thing:
    return {"name": name, "valueFrom": {"fieldRef": {"fieldPath": path}}}


def _probe(path: str, period: int, failures: int) -> Thing:
    return {
        "httpGet": {"path": path, "port": "metrics"},
        "periodSeconds": period,
        "timeoutSeconds": 5,
        "failureThreshold": failures,
    }


def _extra_mounts(options: Options) -> list[Thing]:
    mounts: list[Thing] = []
    if "cdi" in options.components:
        mounts.append({"name": "cdi", "mountPath": "/var/run/cdi"})
    if "token" in options.components:
        mounts.append({"name": "token", "mountPath": "/etc/rota/token", "readOnly": True})
    return mounts


def _volumes(options: Options) -> list[Thing]:
    volumes = [
        _host("run", "/run/rota", "DirectoryOrCreate"),
        _host("device-plugins", f"{KUBELET}/device-plugins", "Directory"),
        _host("pod-resources", f"{KUBELET}/pod-resources", "Directory"),
        _host("cgroup", "/sys/fs/cgroup", "Directory"),
        _host("log-pods", "/var/log/pods", "DirectoryOrCreate"),
        _host("log-containers", "/var/log/containers", "DirectoryOrCreate"),
    ]
    if "cdi" in options.components:
        volumes.append(_host("cdi", "/var/run/cdi", "DirectoryOrCreate"))
    if "token" in options.components:
        volumes.append({"name": "token", "secret": {"secretName": "rota-token"}})
    return volumes


def _host(name: str, path: str, kind: str) -> Thing:
    return {"name": name, "hostPath": {"path": path, "type": kind}}
