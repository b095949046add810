"""Looks at a cluster, and says what is wrong with it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from rota.cluster.door import (
    CLUSTER_POLICIES,
    DEPLOYMENTS,
    LIMIT_RANGES,
    PODS,
    QUOTAS,
    Api,
    Object,
    metadata,
)
from rota.cluster.gather import EVERYTHING, Gathered, config_maps, gather, namesakes, our_events
from rota.cluster.gpus import requests_of
from rota.cluster.setup import sources
from rota.config.findings import Finding, Level
from rota.config.naming import DOMAIN
from rota.doctor.checked import checked
from rota.doctor.registry import why
from rota.doctor.rules import ALL
from rota.doctor.world import Place, World, world


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """What `rota doctor` says.

    Attributes:
        findings: the gravest first, then by rule and object.
        nodes, pods, plugins: how many were looked at.
    """

    findings: tuple[Finding, ...]
    nodes: int = 0
    pods: int = 0
    plugins: int = 0

    def of(self, namespace: str) -> Diagnosis:
        """Without findings about other namespaces' objects; all of them for an empty name."""
        if not namespace:
            return self
        kept = (f for f in self.findings if _in(namespace, f.mark.file))
        return replace(self, findings=tuple(kept))

    def count(self, level: Level) -> int:
        """How many findings have this level."""
        return sum(finding.level is level for finding in self.findings)

    def exit_code(self, *, strict: bool = False) -> int:
        """0 where nothing is wrong, 1 at an error; with `strict`, at a warning too."""
        return int(bool(self.count(Level.ERROR) + (self.count(Level.WARNING) if strict else 0)))

    def plain(self) -> dict[str, Any]:
        """For machines."""
        return {
            "nodes": self.nodes,
            "pods": self.pods,
            "plugins": self.plugins,
            "findings": [
                {
                    "id": finding.id,
                    "level": str(finding.level),
                    "object": finding.mark.file,
                    "seen": finding.message,
                    "why": why(finding.id),
                    "do": finding.hint,
                }
                for finding in self.findings
            ],
        }


def _in(namespace: str, about: str) -> bool:
    place = about.partition(" ")[2]
    return "/" not in place or place.startswith(f"{namespace}/")


async def look(api: Api, given: Place | None = None) -> Diagnosis:
    """Read the cluster and run every rule.

    Args:
        api: the door.
        given: a ConfigMap that a person named, besides those that the cluster's objects name.

    Raises:
        ClusterError: the server is away; a right that is missing becomes a note instead.
    """
    gathered = await gather(api, EVERYTHING)
    named = [s.config_map for s in sources(gathered, given) if s.config_map]
    maps, unread = await config_maps(api, named)
    missing = {name for _, name in named} if len(maps) < len(set(named)) else set()
    elsewhere, why_not = await namesakes(api, missing)
    told, why_untold = await our_events(api)
    unread |= {"configmaps": why_not} if why_not else {}
    unread |= {"events": why_untold} if why_untold else {}
    seen = world(
        gathered, maps, given=given, elsewhere=frozenset(elsewhere), told=told, unread=unread,
        now=datetime.now(UTC),
    )  # fmt: skip
    return diagnose(seen, gathered, maps)


def diagnose(seen: World, gathered: Gathered, maps: Iterable[Object] = ()) -> Diagnosis:
    """Run every rule, those of `rota check` too."""
    said = [finding for rule in ALL for finding in rule(seen)]
    said += checked(_objects(gathered, maps))
    order = list(Level)
    findings = sorted(
        dict.fromkeys(said), key=lambda f: (order.index(f.level), f.id, f.mark.file, f.message)
    )
    return Diagnosis(tuple(findings), len(seen.nodes), len(seen.pods), len(seen.plugins))


def _objects(gathered: Gathered, maps: Iterable[Object]) -> Iterator[tuple[str, Object]]:
    """What the rules of `rota check` are about, each kind of pod once."""
    yield from (("ConfigMap", one) for one in maps)
    yield from (("ClusterPolicy", one) for one in gathered.all(CLUSTER_POLICIES))
    for kind, title in ((QUOTAS, "ResourceQuota"), (LIMIT_RANGES, "LimitRange")):
        yield from ((title, one) for one in gathered.all(kind) if DOMAIN in str(one.get("spec")))
    for one in gathered.all(DEPLOYMENTS):
        template = (one.get("spec") or {}).get("template") or {}
        if requests_of(template.get("spec") or {}):
            yield "Deployment", one
    yield from (("Pod", one) for one in _one_of_each(gathered.all(PODS)))


def _one_of_each(pods: Iterable[Object]) -> Iterator[Object]:
    """Running pods that ask for GPUs, one of each owner; a Deployment's are seen as its own."""
    owners = set()
    for pod in pods:
        owner: Object = next(iter(metadata(pod).get("ownerReferences") or ()), {})
        over = (pod.get("status") or {}).get("phase") in ("Succeeded", "Failed")
        if over or owner.get("kind") == "ReplicaSet" or not requests_of(pod.get("spec") or {}):
            continue
        uid = owner.get("uid") or metadata(pod).get("uid")
        if uid not in owners:
            owners.add(uid)
            yield pod
