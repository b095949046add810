"""How the GPUs of a cluster come to their config, as its objects tell. Pure.

Two ways, and both at once while somebody moves from one to the other: Rota's agents follow a
ConfigMap that their DaemonSet names, and NVIDIA's operator mounts the one that its ClusterPolicy
names into its plugin.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from rota.cluster.chosen import LABEL, Chosen, NoConfig, choose
from rota.cluster.door import CLUSTER_POLICIES, DAEMON_SETS, Object, labels_of, metadata
from rota.cluster.gather import Gathered
from rota.cluster.gpus import GpuNode
from rota.cluster.promise import as_nvidia_reads
from rota.config.load import ConfigError, load_text
from rota.config.schema import Config

OPERATORS = ("gpu-operator", "gpu-operator-resources", "nvidia-gpu-operator")

_PLUGINS = (
    ("app", "nvidia-device-plugin-daemonset"),
    ("app.kubernetes.io/name", "nvidia-device-plugin"),
    ("name", "nvidia-device-plugin-ds"),
    ("k8s-app", "nvidia-gpu-device-plugin"),
)
"""Labels of NVIDIA's plugin as the operator, its chart, its plain manifest and GKE make it."""

_NVIDIAS = re.compile(r"(?:^|/)(?:k8s-)?device-plugin(?:[:@]|$)")
_AGENT = re.compile(r"(?:^|/)rota(?:[:@]|$)")
_VARIABLE = re.compile(r"\$\([A-Z_]*NAMESPACE\)")


@dataclass(frozen=True, slots=True)
class Source:
    """Something that serves GPUs, and the ConfigMap that it takes its config from.

    Attributes:
        by: `rota` or `nvidia`.
        title: the object that says so, such as `DaemonSet rota/rota`.
        namespace: where its pods are; empty where that is not known.
        config_map: namespace and name; None where it has none.
        default: the key for nodes without a label; empty for none.
        image: of Rota's agent; empty for NVIDIA's.
        beside: Rota's agent advertises nothing: NVIDIA's plugin does.
        runtime_class: of its pods; empty for the node's default.
    """

    by: Literal["rota", "nvidia"]
    title: str
    namespace: str = ""
    config_map: tuple[str, str] | None = None
    default: str = ""
    image: str = ""
    beside: bool = False
    runtime_class: str = ""

    @property
    def nvidias(self) -> bool:
        """NVIDIA's plugin serves what it says."""
        return self.by == "nvidia" or self.beside


def sources(gathered: Gathered, given: tuple[str, str] | None = None) -> tuple[Source, ...]:
    """Everything that serves GPUs here; `given`: a ConfigMap that a person named."""
    sets = gathered.all(DAEMON_SETS)
    found = [s for thing in sets if (s := _agent(thing))]
    home = next((_namespace(t) for t in sets if makes_nvidias(t)), "")
    found += [_policy(policy, home) for policy in gathered.all(CLUSTER_POLICIES)]
    if given and not any(source.config_map == given for source in found):
        found.insert(0, Source("rota", "--config-map", given[0], given))
    return tuple(found)


def makes_nvidias(daemon_set: Object) -> bool:
    """Whether a DaemonSet's pods are NVIDIA's device plugin."""
    return is_nvidias(_template(daemon_set), both_labels(daemon_set))


def both_labels(daemon_set: Object) -> dict[str, str]:
    """Its own, and those of its pods."""
    return {
        **labels_of(daemon_set),
        **labels_of((daemon_set.get("spec") or {}).get("template") or {}),
    }


def is_nvidias(spec: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    """Whether a pod or what makes it is NVIDIA's device plugin."""
    if any(labels.get(key) == value for key, value in _PLUGINS):
        return True
    images = (str(c.get("image") or "") for c in spec.get("containers") or ())
    return any(_NVIDIAS.search(image) for image in images)


def is_agent(spec: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    """Whether a pod or what makes it is Rota's agent."""
    return _agent_container(spec, labels) is not None


def agent_beside(spec: Mapping[str, Any]) -> bool:
    """Whether an agent leaves advertising to NVIDIA's plugin."""
    words = [w for c in spec.get("containers") or () for w in _words(c)]
    return any(word.partition("=")[0] == "--beside-nvidia" for word in words)


def agent_port(spec: Mapping[str, Any]) -> tuple[str, int] | None:
    """`https` or nothing, and the port, of an agent's figures; None where it tells none.

    One that listens on a loopback address can be asked within its pod only.
    """
    for container in spec.get("containers") or ():
        options = dict(_options(_words(container)))
        host, _, port = options.get("--listen", "").rpartition(":")
        if port.isdecimal() and host.strip("[]") not in ("127.0.0.1", "::1", "localhost"):
            return "https" if "--tls-cert" in options else "", int(port)
    return None


def config_of(
    node: GpuNode, source: Source, data: Mapping[str, str] | None
) -> tuple[Chosen, Config] | None:
    """The config that a node should be served, as its plugin reads it; None where it has none."""
    label = node.labels.get(LABEL, "")
    if source.config_map is None or not (source.by == "rota" or label or source.default):
        return None  # without label and default NVIDIA's plugin shares nothing
    try:
        chosen = choose(data, label, source.default, "/".join(source.config_map))
        config = load_text(chosen.text, chosen.key).config
    except (NoConfig, ConfigError):
        return None
    return chosen, as_nvidia_reads(config) if source.nvidias else config


def _agent(thing: Object) -> Source | None:
    spec, namespace = _template(thing), _namespace(thing)
    container = _agent_container(spec, labels_of(thing))
    if container is None:
        return None
    options = dict(_options(_words(container)))
    place = _VARIABLE.sub(namespace, options.get("--config-map", ""))
    where, _, name = place.partition("/")
    return Source(
        "rota",
        f"DaemonSet {namespace}/{metadata(thing)['name']}",
        namespace,
        (where, name) if where and name else None,
        options.get("--config-key", ""),
        str(container.get("image") or ""),
        "--beside-nvidia" in options,
        str(spec.get("runtimeClassName") or ""),
    )


def _policy(policy: Object, home: str) -> Source:
    home = str((policy.get("status") or {}).get("namespace") or home or OPERATORS[0])
    config = ((policy.get("spec") or {}).get("devicePlugin") or {}).get("config") or {}
    name = str(config.get("name") or "")
    return Source(
        "nvidia",
        f"ClusterPolicy {metadata(policy)['name']}",
        home,
        (home, name) if name else None,
        str(config.get("default") or ""),
    )


def _agent_container(
    spec: Mapping[str, Any], labels: Mapping[str, str]
) -> Mapping[str, Any] | None:
    ours = labels.get("app.kubernetes.io/name") == "rota"
    for container in spec.get("containers") or ():
        if "agent" in _words(container) and (
            ours or _AGENT.search(str(container.get("image") or ""))
        ):
            return dict(container)
    return None


def _words(container: Mapping[str, Any]) -> list[str]:
    return [str(w) for w in (*(container.get("command") or ()), *(container.get("args") or ()))]


def _options(words: Iterable[str]) -> Iterator[tuple[str, str]]:
    given = list(words)
    for word, following in zip(given, [*given[1:], ""], strict=True):
        name, equals, value = word.partition("=")
        if name.startswith("--"):
            yield name, value if equals else following


def _template(thing: Object) -> Mapping[str, Any]:
    return ((thing.get("spec") or {}).get("template") or {}).get("spec") or {}


def _namespace(thing: Object) -> str:
    return str(metadata(thing).get("namespace") or "")
