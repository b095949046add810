"""What each node should offer, and what of it is free to try. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from rota.cluster.gpus import GpuNode, GpuPod, held
from rota.cluster.promise import promised
from rota.cluster.setup import Source, config_of
from rota.config.schema import Config

Place = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Target:
    """One resource of one node.

    Attributes:
        node: the node.
        resource: such as `nvidia.com/gpu`.
        gpus: physical devices behind it, by its label; None where none tells.
        should: how many it should offer; None where nothing tells.
        told_by: what tells: a key of a ConfigMap, or labels.
        offers: its allocatable.
        held: how many pods hold.
        replicas: of one device, as its label says; None where none does.
        limited: a program should find no more memory than its share.
    """

    node: GpuNode
    resource: str
    gpus: int | None
    should: int | None
    told_by: str
    offers: int
    held: int
    replicas: int | None = None
    limited: bool = False

    @property
    def free(self) -> int:
        """How many smoke pods fit."""
        return max(0, self.offers - self.held)

    @property
    def title(self) -> str:
        """As messages name it."""
        return f"{self.node.name} {self.resource}"


def targets(
    nodes: Iterable[GpuNode],
    pods: Iterable[GpuPod],
    sources: Iterable[Source],
    maps: Mapping[Place, Mapping[str, str]],
) -> tuple[Target, ...]:
    """Every resource that every node with GPUs offers or should offer."""
    everybody, given = tuple(pods), tuple(sources)
    found: list[Target] = []
    for node in sorted(nodes, key=lambda one: one.name):
        config, key = _config(node, given, maps)
        should = promised(config, node) if config else None
        names = dict.fromkeys((*sorted(should or {}), *_offered(node), *_labelled(node)))
        found += [_target(node, name, everybody, config, should, key) for name in names]
    return tuple(found)


def _target(
    node: GpuNode,
    name: str,
    pods: tuple[GpuPod, ...],
    config: Config | None,
    should: Mapping[str, int] | None,
    key: str,
) -> Target:
    count, replicas = node.count(name), _replicas(node, name)
    wanted, told_by = (should.get(name, 0), key) if should is not None else (None, "")
    if wanted is None and count is not None and replicas is not None:
        wanted, told_by = count * replicas, "its labels"
    return Target(
        node, name, count, wanted, told_by, node.allocatable.get(name, 0),
        held(pods, node.name, name), replicas, _limited(config, node, replicas),
    )  # fmt: skip


def _config(
    node: GpuNode, sources: Iterable[Source], maps: Mapping[Place, Mapping[str, str]]
) -> tuple[Config | None, str]:
    """The config of the first source that has one for the node: Rota's before NVIDIA's."""
    for source in sources:
        place = source.config_map
        made = config_of(node, source, maps.get(place)) if place else None
        if made and place:
            return made[1], f"key {made[0].key} of {'/'.join(place)}"
    return None, ""


def _limited(config: Config | None, node: GpuNode, replicas: int | None) -> bool:
    """Rota holds limits on this node: by ballast, where its programs take turns."""
    if config is None or node.labels.get("rota.dev/turns") != "exclusive" or (replicas or 1) < 2:
        return False
    memory = config.rota.memory
    return memory.limit == "share" and memory.enforce == "hard" and memory.oversubscribe <= 1.0


def _offered(node: GpuNode) -> list[str]:
    return sorted(name for name, count in {**node.capacity, **node.allocatable}.items() if count)


def _labelled(node: GpuNode) -> list[str]:
    """Resources of which labels tell both numbers, under the names that are served."""
    names = [label.removesuffix(".count") for label in node.labels if label.endswith(".count")]
    served = _offered(node)
    return [n for n in names if _replicas(node, n) and not any(s.startswith(n) for s in served)]


def _replicas(node: GpuNode, name: str) -> int | None:
    text = node.labels.get(f"{name}.replicas", "")
    return int(text) if text.isdecimal() else None
