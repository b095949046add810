"""Restarts NVIDIA's plugin on this node after an edit that checks out, one node at a time.

The plugin reads its config once, when it starts, and ends for good on one that it cannot read. So
only an edit that was checked gets there, and a Lease lets the next node try only when the plugin of
this one is ready again: what goes wrong in spite of all, goes wrong on one node.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import structlog

from rota.cluster.door import (
    LEASES,
    PODS,
    Api,
    ClusterError,
    Conflict,
    Forbidden,
    NotFound,
    Object,
    metadata,
)
from rota.cluster.events import Recorder, Ref
from rota.cluster.pace import LACKING, Backoff, Pace
from rota.cluster.pods import Name, PodFacts, Pods
from rota.cluster.reasons import PLUGIN_NOT_BACK, PLUGIN_RESTARTED
from rota.cluster.rights import LEASE
from rota.cluster.selector import Selector
from rota.cluster.troubles import Troubles

WAIT = (20.0, 120.0)
"""Seconds between two tries for the Lease: from the first to the longest."""

READY = 300.0
"""Seconds in which the plugin must be ready again; also how long a Lease lasts unrenewed."""

_WHAT = "NVIDIA's plugin is not restarted, and serves what it read last"


@dataclass(slots=True)
class Restarter:
    """Restarts the plugin of one node.

    Attributes:
        api: the door.
        node: the node's name, which holds the Lease.
        selector: the plugin's pods.
        pods: this node's pods.
        pace: how often it may be asked.
        recorder: for the Event that says so.
        troubles: where failures are told.
        log: likewise what was done.
        wait: seconds between two tries, from the first to the longest.
        ready: seconds in which the plugin must be ready again.
        look: seconds between looks whether it is.
    """

    api: Api
    node: str
    selector: Selector
    pods: Pods
    pace: Pace
    recorder: Recorder
    troubles: Troubles
    log: structlog.typing.FilteringBoundLogger
    wait: tuple[float, float] = WAIT
    ready: float = READY
    look: float = 10.0
    lacking: float = LACKING
    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    _bell: asyncio.Event = field(default_factory=asyncio.Event)

    def due(self) -> None:
        """An edit checks out: the plugin should read it."""
        self._bell.set()

    async def run(self) -> None:
        """Restart whenever it is due, until cancelled."""
        backoff = Backoff(*self.wait)
        while True:
            await self._bell.wait()
            await asyncio.sleep(random.uniform(0, self.wait[0]))
            try:
                done = await self._once()
            except ClusterError as error:
                self.troubles.say(_WHAT, str(error))
                rare = isinstance(error, Forbidden)
                await asyncio.sleep(self.lacking if rare else backoff.next())
                continue
            if done:
                self.troubles.say(_WHAT)
                backoff.reset()
            else:
                await asyncio.sleep(backoff.next())

    async def _once(self) -> bool:
        """Restart it, if it is here and it is this node's turn."""
        if not self.pods.plugins:
            where = f"{self.selector.namespace}/{self.selector.label}={self.selector.value}"
            self.troubles.say(_WHAT, f"no pod {where} is on this node")
            return False
        lease = await self._take()
        if lease is None:
            return False
        self._bell.clear()
        try:
            before = self.pods.plugins
            for (namespace, name), pod in before.items():
                await self._delete(namespace, name, pod)
            await self._until_ready(before)
        except ClusterError:
            self._bell.set()
            await self._let_go(lease)
            raise
        await self._let_go(lease)
        return True

    async def _delete(self, namespace: str, name: str, pod: PodFacts) -> None:
        await self.pace.wait()
        try:
            await self.api.delete(PODS, name, namespace, pod.uid)
        except (NotFound, Conflict):  # somebody else restarted it
            return
        self.log.info("restarted NVIDIA's plugin", pod=f"{namespace}/{name}")
        what = f"{namespace}/{name} was restarted to read an edit of the config that checks out"
        self.recorder.tell(Ref.node(self.node), PLUGIN_RESTARTED, what)

    async def _until_ready(self, before: Mapping[Name, PodFacts]) -> None:
        old = {pod.uid for pod in before.values()}
        try:
            async with asyncio.timeout(self.ready):
                while not await self._ready(old):  # noqa: ASYNC110 - nothing tells
                    await asyncio.sleep(self.look)
        except TimeoutError:
            what = f"NVIDIA's plugin was restarted, and is not ready after {self.ready:g} s"
            self.log.error("NVIDIA's plugin is not ready again", seconds=self.ready)
            self.recorder.tell(Ref.node(self.node), PLUGIN_NOT_BACK, what)

    async def _ready(self, old: set[str]) -> bool:
        new = [name for name, pod in self.pods.plugins.items() if pod.uid not in old]
        for namespace, name in new:
            await self.pace.wait()
            try:
                if not _is_ready(await self.api.get(PODS, name, namespace)):
                    return False
            except NotFound:
                return False
        return bool(new)

    async def _take(self) -> Object | None:
        """The Lease if nobody has it; None where somebody has."""
        await self.pace.wait()
        try:
            lease = await self.api.get(LEASES, LEASE, self.selector.namespace)
        except NotFound:
            return await self._write(None)
        holder = str((lease.get("spec") or {}).get("holderIdentity") or "")
        if holder not in ("", self.node) and not self._expired(lease):
            return None
        return await self._write(lease)

    async def _write(self, before: Object | None) -> Object | None:
        body = self._lease(before, self.node)
        namespace = self.selector.namespace
        await self.pace.wait()
        try:
            if before is None:
                return await self.api.create(LEASES, body, namespace)
            return await self.api.replace(LEASES, body, LEASE, namespace)
        except Conflict:  # another node was quicker
            return None

    async def _let_go(self, lease: Object) -> None:
        body = self._lease(lease, "")
        await self.pace.wait()
        try:
            await self.api.replace(LEASES, body, LEASE, self.selector.namespace)
        except ClusterError as error:  # it expires
            self.log.warning("the Lease for restarts was not given back", reason=str(error))

    def _lease(self, before: Object | None, holder: str) -> dict[str, Any]:
        meta: dict[str, Any] = {"name": LEASE, "namespace": self.selector.namespace}
        if before is not None:
            meta["resourceVersion"] = metadata(before).get("resourceVersion", "")
        spec = {
            "holderIdentity": holder,
            "leaseDurationSeconds": round(self.ready) or 1,
            "renewTime": self.now().strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
        }
        return {
            "apiVersion": LEASES.api_version,
            "kind": LEASES.kind,
            "metadata": meta,
            "spec": spec,
        }

    def _expired(self, lease: Object) -> bool:
        spec = lease.get("spec") or {}
        try:
            renewed = datetime.fromisoformat(str(spec.get("renewTime")))
            lasts = timedelta(seconds=float(spec.get("leaseDurationSeconds") or 0))
        except ValueError:
            return True
        return self.now() > renewed + lasts


def _is_ready(pod: Object) -> bool:
    return any(
        one.get("type") == "Ready" and one.get("status") == "True" for one in _conditions(pod)
    )


def _conditions(pod: Object) -> Iterator[Mapping[str, Any]]:
    yield from (pod.get("status") or {}).get("conditions") or ()
