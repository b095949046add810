"""The whole proof: look at every node, try what is free on each, say what it comes to."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from rota.cluster.door import NODES, PODS, Api, Forbidden
from rota.cluster.gather import config_maps, gather
from rota.cluster.gpus import GpuNode, node_of, pod_of
from rota.cluster.setup import Source, sources
from rota.errors import UsageError
from rota.verify.objects import Wish
from rota.verify.report import Proof
from rota.verify.smoke import CLEANING, Pace, Smoke, Tell
from rota.verify.targets import Place, Target, targets
from rota.verify.traces import Trace, this_process, traces

AT_ONCE = 8
"""Nodes that are tried at the same time."""

LETTERS = "bcdfghjklmnpqrstvwxz2456789"


@dataclass(frozen=True, slots=True)
class Order:
    """What a person asked for.

    Attributes:
        namespace: where smoke pods are made.
        image: theirs; empty for that of Rota's agent.
        nodes: only these; empty for all.
        config_map: a ConfigMap besides those that the cluster's objects name.
        smoke: make pods; else look at numbers only.
        runtime_class: of the pods; empty for that of Rota's agent.
        pace: how long is waited.
    """

    namespace: str
    image: str = ""
    nodes: tuple[str, ...] = ()
    config_map: Place | None = None
    smoke: bool = True
    runtime_class: str = ""
    pace: Pace = field(default_factory=Pace)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What it comes to.

    Attributes:
        proofs: of each resource of each node.
        left: what earlier runs left behind.
    """

    proofs: tuple[Proof, ...]
    left: tuple[Trace, ...] = ()

    @property
    def ok(self) -> bool:
        """There are GPUs, and all of it is as it should be."""
        return bool(self.proofs) and all(proof.ok for proof in self.proofs)

    def plain(self) -> dict[str, Any]:
        """For machines."""
        left = [
            {"kind": t.kind.kind, "namespace": t.namespace, "name": t.name, "since": t.since}
            for t in self.left
        ]
        return {"ok": self.ok, "targets": [proof.plain() for proof in self.proofs], "left": left}


async def prove(api: Api, order: Order, tell: Tell) -> Verdict:
    """Do it.

    Raises:
        UsageError: no such node; no image known.
        ClusterError: the server is away or refuses; or what was made cannot be removed.
    """
    gathered = await gather(api)
    for plural in ("nodes", "pods"):  # without pods nobody knows what is free
        if plural in gathered.unread:
            raise Forbidden(gathered.unread[plural])
    given = sources(gathered, order.config_map)
    maps, _ = await config_maps(api, [s.config_map for s in given if s.config_map])
    texts = {(m["metadata"]["namespace"], m["metadata"]["name"]): m.get("data") or {} for m in maps}
    pods = tuple(pod for t in gathered.all(PODS) if (pod := pod_of(t)).requests)
    nodes = _chosen([node_of(thing) for thing in gathered.all(NODES)], order.nodes)
    found = targets(nodes, pods, given, texts)
    left = await traces(api, order.namespace)
    if not order.smoke:
        return Verdict(tuple(Proof(target, unproven=True) for target in found), left)
    smoke = Smoke(api, _wish(order, given), order.pace, tell, pods)
    return Verdict(await _all(smoke, found), left)


async def _all(smoke: Smoke, found: Iterable[Target]) -> tuple[Proof, ...]:
    """Several at once; the first error ends the others, and each removes what is its own."""
    room = asyncio.Semaphore(AT_ONCE)

    async def one(number: int, target: Target) -> Proof:
        async with room:
            why = _why_not(target)
            if why:
                return Proof(target, not_waited=why, unproven=True)
            return await smoke.prove(target, f"rota-verify-{smoke.wish.run}-{number}")

    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(one(n, t)) for n, t in enumerate(found)]
    except BaseExceptionGroup as errors:
        raise errors.exceptions[0] from None
    return tuple(task.result() for task in tasks)


def _why_not(target: Target) -> str:
    """Why pods are not tried there."""
    if not target.node.ready:
        return "not tried: the node is not ready"
    if not target.node.open:
        return "not tried: the node is cordoned"
    return "" if target.offers else "not tried: it offers none"


def _chosen(nodes: Iterable[GpuNode], names: tuple[str, ...]) -> list[GpuNode]:
    known = {node.name: node for node in nodes}
    missing = [name for name in names if name not in known]
    if missing:
        raise UsageError(f"there is no node '{missing[0]}'", where="--node")
    return [node for node in known.values() if node.has_gpus and (not names or node.name in names)]


def _wish(order: Order, given: Iterable[Source]) -> Wish:
    ours = next((source for source in given if source.image), None)
    image = order.image or (ours.image if ours else "")
    if not image:
        what = "Rota's agent is not in this cluster, so there is no image to try"
        raise UsageError(what, hint="name one with --image; it needs a shell")
    run = "".join(secrets.choice(LETTERS) for _ in range(5))
    until = int(time.time() + order.pace.run + order.pace.wait + order.pace.gone + CLEANING)
    runtime = order.runtime_class or (ours.runtime_class if ours else "")
    return Wish(order.namespace, image, run, this_process(), until, runtime)
