"""Takes out of a cluster what apply put in, and nothing else, and puts back what was there.

First the operator's policy, so that nothing names a ConfigMap that is gone; then the DaemonSet, and
with its pods the labels that its agents own; then, when the nodes have their physical GPUs again, all
else. The ConfigMap goes nearly last: as long as it is there, a rollback that was broken off is not
done, and the next call goes on.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field

from rota.cluster.door import (
    CONFIG_MAPS,
    DAEMON_SETS,
    LEASES,
    NAMESPACES,
    NODES,
    PODS,
    Api,
    Away,
    Forbidden,
    Kind,
    NotFound,
    Object,
    View,
    metadata,
)
from rota.cluster.features import ROTA
from rota.cluster.gpus import node_of
from rota.cluster.labels import MANAGER as AGENT
from rota.cluster.rights import LEASE
from rota.config.load import ConfigError, load_text
from rota.deploy.contents import left_in
from rota.deploy.daemonset import NAME, NAMES
from rota.deploy.holders import holders, refuse
from rota.deploy.install import applied, read
from rota.deploy.kinds import place_of, title
from rota.deploy.options import OPERATOR
from rota.deploy.progress import Tell
from rota.deploy.record import overlay_of
from rota.deploy.target import cluster_policies
from rota.deploy.undo import undo
from rota.errors import RotaError

LOOK = (0.5, 5.0)
"""Seconds between two looks: at first, and at most."""

_LATE = (CONFIG_MAPS, NAMESPACES)
"""Kinds that go when the nodes have their GPUs back."""


class NotBack(RotaError):
    """Nodes do not have their physical GPUs again."""


@dataclass(slots=True)
class Rollback:
    """One call of it.

    Attributes:
        api: the door.
        tell: where progress goes.
        timeout: seconds that the nodes may take; 0 waits for nothing.
        force: also while pods hold replicas.
    """

    api: Api
    tell: Tell
    timeout: float = 300.0
    force: bool = False
    clock: Callable[[], float] = time.monotonic
    _found: list[tuple[Kind, Object]] = field(default_factory=list)

    async def run(self) -> bool:
        """Undo everything; False where there was nothing.

        Raises:
            ClusterError: the server did not do something; the next call goes on.
            InUse: pods hold replicas.
            NotBack: nodes do not have their physical GPUs again; all else is undone but the ConfigMap.
        """
        self._found = await applied(self.api)
        if not self._found:
            return False
        names, beside = resources(self._found), self._beside()
        if not self.force:
            hint = (
                "delete them first, or go on with --force: they run on, on GPUs that others get too"
            )
            refuse(await holders(self.api, names), hint)
        places = self._namespaces()
        for kind, thing in self._found:
            if kind not in _LATE:
                await self._undo(kind, thing)
        if not await self._stays(places):
            await self._until_served_no_more(places, names, beside)
        for kind, thing in self._found:
            if kind in _LATE:
                await self._last(kind, thing)
        return True

    async def _stays(self, places: set[str]) -> bool:
        """A DaemonSet that was there before apply: its agents go on, and so do replicas and labels."""
        for namespace in sorted(places):
            if await read(self.api, DAEMON_SETS, NAME, namespace):
                self.tell(
                    "note", f"DaemonSet {namespace}/{NAME}", "was there before, and serves on"
                )
                return True
        return False

    async def _until_served_no_more(
        self, places: set[str], names: Sequence[str], beside: bool
    ) -> None:
        for namespace in sorted(places):
            await self._until_gone(namespace)
        await self._forget_nodes(places)
        if self.timeout and not await self._policy_shares(beside):
            await self._until_physical(names, beside)

    def _beside(self) -> bool:
        return any(overlay_of(thing) == OPERATOR for _, thing in self._found)

    def _namespaces(self) -> set[str]:
        return {place_of(thing)[0] for kind, thing in self._found if kind is CONFIG_MAPS}

    async def _undo(self, kind: Kind, thing: Object) -> None:
        namespace, name = place_of(thing)
        self.tell(await undo(self.api, kind, thing), title(kind, name, namespace), "")

    async def _last(self, kind: Kind, thing: Object) -> None:
        """A namespace goes only if nothing is left in it."""
        if kind is NAMESPACES and "rota.dev/before" not in (
            metadata(thing).get("annotations") or {}
        ):
            name = place_of(thing)[1]
            if left := await left_in(self.api, name):
                self.tell("note", title(kind, name), f"stays: {left} is in it")
                return
        await self._undo(kind, thing)

    async def _until_gone(self, namespace: str) -> None:
        """The agents have ended: nobody labels nodes any more."""
        labels = ",".join(f"{key}={value}" for key, value in NAMES.items())
        view = View(PODS, namespace, labels=labels, metadata_only=True)
        told = 0
        async for _ in self._looks():
            left = len((await self.api.list(view, fresh=True)).items)
            if not left:
                return
            if left != told:
                self.tell("wait", f"DaemonSet {namespace}/{NAME}", f"{left} pods are ending")
            told = left
        self.tell("note", f"DaemonSet {namespace}/{NAME}", "its pods have not ended yet")

    async def _forget_nodes(self, namespaces: set[str]) -> None:
        """What its agents own on nodes, and the Lease for restarts of NVIDIA's plugin."""
        view = View(NODES, labels=f"{ROTA}turns", metadata_only=True)
        for node in (await self.api.list(view, fresh=True)).items:
            name = metadata(node)["name"]
            body = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": name}}
            await self.api.apply(NODES, body, name, AGENT)
            self.tell("gone", f"labels of node {name}", "")
        for namespace in sorted(namespaces):
            try:
                await self.api.delete(LEASES, LEASE, namespace)
            except (NotFound, Forbidden):
                continue
            self.tell("gone", title(LEASES, LEASE, namespace), "")

    async def _policy_shares(self, beside: bool) -> bool:
        """The operator has another config again, which was there before: what it serves is its own."""
        for policy in await cluster_policies(self.api) if beside else ():
            config = (policy["spec"].get("devicePlugin") or {}).get("config") or {}
            if name := config.get("name"):
                self.tell(
                    "note", f"ClusterPolicy {metadata(policy)['name']}", f"names {name} again"
                )
                return True
        return False

    async def _until_physical(self, names: Sequence[str], beside: bool) -> None:
        late: dict[str, str] = {}
        told: dict[str, str] = {}
        async for _ in self._looks():
            try:
                nodes = (await self.api.list(View(NODES), fresh=True)).items
            except Away as error:
                self.tell("note", "API server", f"{error}; still waiting")
                continue
            late = {}
            for node in nodes:
                if why := shared_still(node, names, beside=beside):
                    late[metadata(node)["name"]] = why
            for name in late.keys() - told.keys():
                self.tell("wait", f"node {name}", late[name])
            for name in told.keys() - late.keys():
                self.tell("ok", f"node {name}", "has its physical GPUs again")
            told = late
            if not late:
                return
        raise _not_back(late, self.timeout)

    async def _looks(self) -> AsyncIterator[None]:
        pause, longest = LOOK
        end = self.clock() + (self.timeout or longest)
        while True:
            yield
            left = end - self.clock()
            if left <= 0:
                return
            await asyncio.sleep(min(pause, left))
            pause = min(longest, pause * 1.5)


def _not_back(late: dict[str, str], seconds: float) -> NotBack:
    why = "; ".join(f"{name}: {what}" for name, what in sorted(late.items()))
    return NotBack(
        f"{len(late)} nodes still have replicas after {seconds:g} s: {why}",
        hint="look at the device plugin there, and call it again; --no-wait does not wait",
    )


def shared_still(node: Object, names: Sequence[str], *, beside: bool) -> str:
    """What of replicas a node still has; empty where its GPUs are physical again.

    Without a plugin beside it nothing is served any more; with one, as many as the node has devices.
    """
    have, wrong = node_of(node), []
    for name in names:
        count = have.count(name) if beside else None
        if beside and count is None and not name.endswith(".shared"):
            continue  # nobody has counted its devices
        now, most = have.allocatable.get(name, 0), count or 0
        if now > most or (most and not now):
            wrong.append(f"{name}: {now}, not {most} yet")
    return ", ".join(wrong)


def resources(found: Sequence[tuple[Kind, Object]]) -> list[str]:
    """The resources that the applied ConfigMaps share, by the names under which they are served."""
    names: set[str] = set()
    for kind, thing in found:
        if kind is CONFIG_MAPS:
            for text in (thing.get("data") or {}).values():
                names |= _shared(str(text))
    return sorted(names)


def _shared(text: str) -> set[str]:
    try:
        sharing = load_text(text, "ConfigMap").config.sharing
    except ConfigError:
        return set()
    found: set[str] = set()
    for entry in sharing.resources:
        found |= {entry.name, *([entry.rename] if entry.rename else ())}
        found |= {f"{entry.name}.shared"} if sharing.rename_by_default else set()
    return found
