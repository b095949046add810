"""All that the rules look at, as typed objects. Pure: made from what was gathered."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal

from rota.cluster.door import NODES, PODS, Object, labels_of, metadata
from rota.cluster.gather import Gathered
from rota.cluster.gpus import GpuNode, GpuPod, node_of, pod_of
from rota.cluster.setup import Source, agent_beside, is_agent, is_nvidias, sources
from rota.cluster.times import began, edited, moment_of

Place = tuple[str, str]
"""Namespace and name."""

LAST = datetime.max.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Plugin:
    """A pod that serves GPUs.

    Attributes:
        by: whose it is.
        pod: its pod.
        beside: Rota's agent, and it advertises nothing.
        ready: all its containers are.
        trouble: why it is not, as the kubelet says.
        started: when its containers began, the last of them; None before.
    """

    by: Literal["rota", "nvidia"]
    pod: GpuPod
    beside: bool = False
    ready: bool = True
    trouble: str = ""
    started: datetime | None = None

    @property
    def serves(self) -> bool:
        """It advertises devices to the kubelet."""
        return not self.beside

    @property
    def title(self) -> str:
        """As a sentence names it."""
        return "Rota's agent" if self.by == "rota" else "NVIDIA's plugin"

    @property
    def daemon_set(self) -> str:
        """The DaemonSet's name; empty where something else made it."""
        kind, _, name = self.pod.owner.partition(" ")
        return name if kind == "DaemonSet" else ""


@dataclass(frozen=True, slots=True)
class ConfigMap:
    """A ConfigMap with configs.

    Attributes:
        data: key → text.
        edited: when its data was last written; None where the server does not say.
    """

    data: Mapping[str, str]
    edited: datetime | None = None


@dataclass(frozen=True, slots=True)
class Told:
    """An Event that an agent wrote.

    Attributes:
        reason, message: the Event's.
        about: such as `Pod default/train-0`.
        at: when it was last seen; None where it does not say.
    """

    reason: str
    about: str
    message: str
    at: datetime | None = None


@dataclass(frozen=True, slots=True)
class World:
    """A cluster.

    Attributes:
        nodes: those with GPUs.
        pods: those that have anything to do with GPUs.
        running: all pods that are not over, such as `Pod default/train-0`.
        plugins: the pods that serve them.
        sources: where configs come from.
        maps: the ConfigMaps that sources name, as far as they are there.
        elsewhere: other places of ConfigMaps of the same names.
        told: Events of agents.
        unread: what could not be read → why.
        now: when it was looked at.
    """

    nodes: tuple[GpuNode, ...] = ()
    pods: tuple[GpuPod, ...] = ()
    running: frozenset[str] = frozenset()
    plugins: tuple[Plugin, ...] = ()
    sources: tuple[Source, ...] = ()
    maps: Mapping[Place, ConfigMap] = field(default_factory=dict)
    elsewhere: frozenset[Place] = frozenset()
    told: tuple[Told, ...] = ()
    unread: Mapping[str, str] = field(default_factory=dict)
    now: datetime = LAST

    def on(self, node: str) -> tuple[Plugin, ...]:
        """The plugins of a node."""
        return tuple(plugin for plugin in self.plugins if plugin.pod.node == node)

    def source_of(self, plugin: Plugin) -> Source | None:
        """Where a plugin's config comes from."""
        ours = [source for source in self.sources if source.by == plugin.by]
        near = [source for source in ours if source.namespace == plugin.pod.namespace]
        return next(iter(near or ours), None)


def world(
    gathered: Gathered,
    maps: tuple[Object, ...] = (),
    *,
    given: Place | None = None,
    elsewhere: frozenset[Place] = frozenset(),
    told: tuple[Object, ...] = (),
    unread: Mapping[str, str] | None = None,
    now: datetime = LAST,
) -> World:
    """The world from what was gathered."""
    nodes = (node_of(thing) for thing in gathered.all(NODES))
    pods = [pod_of(thing) for thing in gathered.all(PODS)]
    return World(
        nodes=tuple(node for node in nodes if node.has_gpus),
        pods=tuple(pod for pod in pods if pod.requests or pod.helps_itself),
        running=frozenset(pod.title for pod in pods if not pod.over),
        plugins=tuple(p for t in gathered.all(PODS) if (p := _plugin(t))),
        sources=sources(gathered, given),
        maps={_place(one): ConfigMap(dict(one.get("data") or {}), edited(one)) for one in maps},
        elsewhere=elsewhere,
        told=tuple(_told(event) for event in told),
        unread={**gathered.unread, **(unread or {})},
        now=now,
    )


def _plugin(thing: Object) -> Plugin | None:
    spec, labels = thing.get("spec") or {}, labels_of(thing)
    pod = pod_of(thing)
    ours = is_agent(spec, labels)
    if not (ours or is_nvidias(spec, labels)) or pod.over:
        return None
    statuses = list((thing.get("status") or {}).get("containerStatuses") or ())
    return Plugin(
        "rota" if ours else "nvidia",
        pod,
        ours and agent_beside(spec),
        bool(statuses) and all(s.get("ready") for s in statuses),
        next(_troubles(statuses), ""),
        began(thing),
    )


def _troubles(statuses: list[Mapping[str, Any]]) -> Iterator[str]:
    for status in statuses:
        state, last = status.get("state") or {}, status.get("lastState") or {}
        waiting = state.get("waiting") or {}
        ended = state.get("terminated") or last.get("terminated") or {}
        words = [waiting.get("reason"), waiting.get("message"), ended.get("message")]
        if waiting or (ended and not status.get("ready")):
            yield ": ".join(str(word).strip() for word in words if word)


def _told(event: Object) -> Told:
    about = event.get("involvedObject") or {}
    place = "/".join(part for part in (about.get("namespace"), about.get("name")) if part)
    kind = str(about.get("kind") or "")
    if kind == "Node":
        place = str(about.get("name") or "")
    at = moment_of(event.get("lastTimestamp") or event.get("eventTime"))
    return Told(
        str(event.get("reason") or ""), f"{kind} {place}", str(event.get("message") or ""), at
    )


def _place(thing: Object) -> Place:
    meta = metadata(thing)
    return str(meta.get("namespace") or ""), str(meta["name"])
