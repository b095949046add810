"""Everything that was read, as typed objects that the rules look at. No I/O here."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from rota.config.document import Mapping, Node, Scalar, find, text_of
from rota.config.findings import Finding, Mark
from rota.config.schema import Config

OPERATOR_NAMESPACES = ("gpu-operator", "gpu-operator-resources", "nvidia-gpu-operator")
"""Where the GPU operator lives when nobody chose otherwise: now, in old versions, on OpenShift."""


@dataclass(frozen=True, slots=True)
class Manifest:
    """One Kubernetes object.

    Attributes:
        node: all of it.
        kind: as written.
        name: after kustomize's prefix and suffix.
        namespace: empty where nothing says it.
        build: the kustomization that made it; empty for a file of its own.
        written_name: before prefix and suffix.
        hashed: kustomize appends a hash of the content to its name.
        named: from a file that a person named, rather than a folder.
    """

    node: Mapping
    kind: str
    name: str
    namespace: str = ""
    build: str = ""
    written_name: str = ""
    hashed: bool = False
    named: bool = False

    @property
    def mark(self) -> Mark:
        """Where its name stands, or else where it begins."""
        name = find(self.node, "metadata", "name")
        return name.mark if name else self.node.mark

    @property
    def title(self) -> str:
        """Such as `Deployment gpu-test`."""
        return f"{self.kind} {self.name}".strip()


@dataclass(frozen=True, slots=True)
class ConfigMap:
    """A ConfigMap whose keys are, or may be, configs."""

    manifest: Manifest
    keys: tuple[str, ...]
    has_configs: bool

    @property
    def place(self) -> str:
        """`namespace/name`, or the name alone."""
        namespace = f"{self.manifest.namespace}/" if self.manifest.namespace else ""
        return namespace + self.manifest.name


@dataclass(frozen=True, slots=True)
class ConfigText:
    """One config: a bare file, or a key of a ConfigMap.

    Attributes:
        key: the ConfigMap's key; empty for a bare file.
        owner: that ConfigMap; None for a bare file.
        mark: where it begins.
        node: its tree; None where the text is empty.
        config: what it says; None where an error keeps it from being served.
    """

    key: str
    owner: ConfigMap | None
    mark: Mark
    node: Node | None
    config: Config | None

    @property
    def title(self) -> str:
        """How a sentence speaks of it."""
        if self.owner is None:
            return self.mark.file
        return f"key '{self.key}' of ConfigMap {self.owner.place}"


@dataclass(frozen=True, slots=True)
class Policy:
    """What a ClusterPolicy, or a patch of one, says about the device plugin's config.

    Attributes:
        name: of the ClusterPolicy; empty where a patch does not tell.
        namespace: `metadata.namespace`, which a ClusterPolicy does not need; mostly empty.
        config: the value of `spec.devicePlugin.config`; None where it says nothing.
        mark: where the object begins.
        build: as in Manifest.
        partial: a patch that sets one field and leaves the others as they are.
    """

    name: str
    namespace: str
    config: Node | None
    mark: Mark
    build: str = ""
    partial: bool = False

    @property
    def config_name(self) -> Scalar | None:
        """The ConfigMap it names."""
        return _word(find(self.config, "name"))

    @property
    def default(self) -> Scalar | None:
        """The key it names."""
        return _word(find(self.config, "default"))


@dataclass(frozen=True, slots=True)
class Container:
    """A container of a pod, as far as GPUs go.

    Attributes:
        name: its name.
        init: it ends before the others start.
        limits, requests: resource name → value, those of NVIDIA's domain only.
        visible: the value of NVIDIA_VISIBLE_DEVICES.
        image: its image.
        mark: where it begins.
    """

    name: str
    init: bool
    limits: dict[str, Node]
    requests: dict[str, Node]
    visible: Scalar | None
    image: str
    mark: Mark


@dataclass(frozen=True, slots=True)
class Pod:
    """A pod, or the template of some."""

    owner: Manifest
    containers: tuple[Container, ...]

    def requests(self) -> Iterator[tuple[Container, str, Node]]:
        """Each thing that a container asks for, by limit or else by request."""
        for container in self.containers:
            for name, value in {**container.requests, **container.limits}.items():
                yield container, name, value


@dataclass(frozen=True, slots=True)
class Quota:
    """One `hard` entry of a ResourceQuota, or one resource in a LimitRange."""

    owner: Manifest
    resource: str
    mark: Mark
    value: Node


@dataclass(frozen=True, slots=True)
class Step:
    """One kubectl command in a script or document.

    Attributes:
        verb: `apply`, `delete`, `patch`, `rollout restart`, `label`, `create`, …
        kind: in singular lower case (`configmap`); empty where the command names none.
        name: the object's name; empty where unknown (a shell variable).
        namespace: `-n`; empty where not given.
        words: the whole command, for messages.
        mark: where the command begins.
        patch: what `-p` or `--patch-file` holds.
    """

    verb: str
    kind: str
    name: str
    namespace: str
    words: tuple[str, ...]
    mark: Mark
    patch: Node | None = None


@dataclass(frozen=True, slots=True)
class NodeLabel:
    """`nvidia.com/device-plugin.config=KEY` on a node: the key that this node uses."""

    key: str
    mark: Mark


@dataclass(frozen=True, slots=True)
class World:
    """All of it. `findings` are those that reading made."""

    configs: tuple[ConfigText, ...] = ()
    config_maps: tuple[ConfigMap, ...] = ()
    policies: tuple[Policy, ...] = ()
    pods: tuple[Pod, ...] = ()
    quotas: tuple[Quota, ...] = ()
    steps: tuple[Step, ...] = ()
    labels: tuple[NodeLabel, ...] = ()
    unknown_kinds: tuple[Manifest, ...] = ()
    texts: dict[str, str] = field(default_factory=dict)
    findings: tuple[Finding, ...] = ()
    skipped: int = 0

    def maps_beside(self, build: str) -> tuple[ConfigMap, ...]:
        """The ConfigMaps that an object of this kustomization can mean."""
        if not build:
            return self.config_maps
        return tuple(m for m in self.config_maps if m.manifest.build in ("", build))

    def named_by(self, policy: Policy) -> tuple[ConfigMap, ...]:
        """The ConfigMaps with the name that the policy gives, in whatever namespace."""
        name = policy.config_name
        if name is None:
            return ()
        return tuple(
            m
            for m in self.maps_beside(policy.build)
            if m.manifest.name == name.value and not m.manifest.hashed
        )

    def served(self) -> tuple[ConfigText, ...]:
        """The configs that a node can get: the policy's defaults and labels, or all of them."""
        chosen = {
            (m.manifest.name, str(p.default.value))
            for p in self.policies
            if p.default
            for m in self.named_by(p)
        }
        labelled = {label.key for label in self.labels}
        usable = [c for c in self.configs if c.config is not None]
        named = [
            c
            for c in usable
            if c.owner and ((c.owner.manifest.name, c.key) in chosen or c.key in labelled)
        ]
        return tuple(named or usable)


def _word(node: Node | None) -> Scalar | None:
    return node if isinstance(node, Scalar) and text_of(node) else None
