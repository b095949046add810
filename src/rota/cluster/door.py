"""The door to the Kubernetes API: what may be asked, what comes back, and what can go wrong.

Objects are plain dicts, as JSON has them: of a pod or a node we read a handful of metadata, and
classes for everything else would only be memory.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol, TypeAlias

from rota.errors import RotaError

Object: TypeAlias = Mapping[str, Any]
"""A Kubernetes object as JSON."""


class ClusterError(RotaError):
    """The Kubernetes API did not do what was asked."""


class Away(ClusterError):
    """Nobody answers, or not now: no connection, no answer in time, 401, 429 or 5xx.

    Attributes:
        after: seconds after which the server wants to be asked again; None where it did not say.
    """

    def __init__(self, what: str, *, where: str = "", after: float | None = None) -> None:
        super().__init__(what, where=where)
        self.after = after


class Forbidden(ClusterError):
    """403: this service account lacks the right."""


class NotFound(ClusterError):
    """404."""


class Gone(ClusterError):
    """410: that version is no longer known; list anew."""


class Conflict(ClusterError):
    """409: the object changed meanwhile, exists already, or somebody else owns a field.

    Attributes:
        fields: paths of the fields that others own, such as `.metadata.labels.nvidia.com/gpu.count`.
    """

    def __init__(self, what: str, *, where: str = "", fields: Sequence[str] = ()) -> None:
        super().__init__(what, where=where)
        self.fields = tuple(fields)


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of object as URLs name it.

    Attributes:
        plural: such as `pods`.
        kind: such as `Pod`.
        group: API group; empty for the core one.
        version: of the API.
    """

    plural: str
    kind: str
    group: str = ""
    version: str = "v1"

    @property
    def api_version(self) -> str:
        """As in a manifest."""
        return f"{self.group}/{self.version}" if self.group else self.version

    def path(self, namespace: str = "", name: str = "") -> str:
        """The URL's path of one object, or of all of them."""
        parts = ["apis", self.group] if self.group else ["api"]
        parts.append(self.version)
        parts += ["namespaces", namespace] if namespace else []
        parts.append(self.plural)
        parts += [name] if name else []
        return "/" + "/".join(parts)


PODS = Kind("pods", "Pod")
NODES = Kind("nodes", "Node")
CONFIG_MAPS = Kind("configmaps", "ConfigMap")
EVENTS = Kind("events", "Event")
EVICTIONS = Kind("pods/eviction", "Eviction")
"""Made of a pod: `pods/<name>/eviction`."""
LEASES = Kind("leases", "Lease", "coordination.k8s.io")
NAMESPACES = Kind("namespaces", "Namespace")
QUOTAS = Kind("resourcequotas", "ResourceQuota")
LIMIT_RANGES = Kind("limitranges", "LimitRange")
DEPLOYMENTS = Kind("deployments", "Deployment", "apps")
DAEMON_SETS = Kind("daemonsets", "DaemonSet", "apps")
CLUSTER_POLICIES = Kind("clusterpolicies", "ClusterPolicy", "nvidia.com")


@dataclass(frozen=True, slots=True)
class View:
    """Some objects of one kind.

    Attributes:
        kind: the kind.
        namespace: empty for all namespaces, and where the kind has none.
        fields: a field selector, such as `metadata.name=n1`.
        metadata_only: leave out spec and status, on the server.
        labels: a label selector, such as `app=x`.
    """

    kind: Kind
    namespace: str = ""
    fields: str = ""
    metadata_only: bool = False
    labels: str = ""


@dataclass(frozen=True, slots=True)
class Listing:
    """All objects of a view, and the version of it from which a watch goes on."""

    items: tuple[Object, ...]
    version: str


@dataclass(frozen=True, slots=True)
class Change:
    """What a watch told: a change, or only how far it is (`BOOKMARK`)."""

    what: Literal["ADDED", "MODIFIED", "DELETED", "BOOKMARK"]
    object: Object

    @property
    def version(self) -> str:
        """The version after this change."""
        return str(metadata(self.object).get("resourceVersion", ""))


class Api(Protocol):
    """The Kubernetes API. Every method raises ClusterError, in its finest class."""

    async def list(self, view: View, *, fresh: bool = False) -> Listing:
        """All objects of a view; `fresh`: not from a cache that may lag behind."""
        ...

    def watch(self, view: View, version: str, seconds: float) -> AsyncGenerator[Change, None]:
        """Changes after that version; ends by itself after so many seconds.

        First comes a bookmark without a version: the server has answered.
        """
        ...

    async def get(self, kind: Kind, name: str, namespace: str = "") -> Object:
        """One object."""
        ...

    async def create(self, kind: Kind, body: Object, namespace: str = "") -> Object:
        """Make an object; Conflict if it is there."""
        ...

    async def replace(self, kind: Kind, body: Object, name: str, namespace: str = "") -> Object:
        """Put an object in its place; Conflict if its resourceVersion is another by now."""
        ...

    async def merge(self, kind: Kind, body: Object, name: str, namespace: str = "") -> Object:
        """Change some fields (a JSON merge patch)."""
        ...

    async def apply(
        self,
        kind: Kind,
        body: Object,
        name: str,
        manager: str,
        namespace: str = "",
        *,
        force: bool = False,
        dry_run: bool = False,
    ) -> Object:
        """Own exactly these fields (server-side apply); `force`: whoever owned them.

        `dry_run`: the server says what it would become, and changes nothing.
        """
        ...

    async def delete(
        self, kind: Kind, name: str, namespace: str = "", uid: str = "", propagation: str = ""
    ) -> None:
        """Delete an object; with `uid`, only if it is still that one.

        `propagation`: Foreground, Background or Orphan; empty for the kind's own.
        """
        ...

    async def fetch(self, path: str, params: Mapping[str, str] | None = None) -> bytes:
        """What lies at a path, as it is: a pod's log, an answer through the server's proxy."""
        ...

    async def evict(self, name: str, namespace: str, uid: str = "") -> None:
        """Have a pod ended with its grace; Away while a disruption budget does not allow it."""
        ...

    async def close(self) -> None:
        """Hang up."""
        ...


def metadata(thing: Object) -> Mapping[str, Any]:
    """An object's metadata; empty where it has none."""
    return thing.get("metadata") or {}


def labels_of(thing: Object) -> dict[str, str]:
    """An object's labels."""
    return dict(metadata(thing).get("labels") or {})


def annotations_of(thing: Object) -> dict[str, str]:
    """An object's annotations."""
    return dict(metadata(thing).get("annotations") or {})
