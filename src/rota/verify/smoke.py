"""Runs the smoke pods of one target, asks for one more, and removes all of it whatever happens.

Everything is created under a name that was chosen before, and a creation that was begun is waited
for even when it is cancelled: so whoever cleans up knows what there may be.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any, TypeVar

from rota.cluster.door import (
    DEPLOYMENTS,
    PODS,
    Api,
    Away,
    ClusterError,
    Kind,
    NotFound,
    Object,
    View,
    metadata,
)
from rota.cluster.gpus import GpuPod, pod_of
from rota.verify.objects import RUN, Wish, deployment, one_more
from rota.verify.report import Proof
from rota.verify.sight import NoSight, Sight, read
from rota.verify.targets import Target

T = TypeVar("T")

Tell = Callable[[str], None]

CLEANING = 60.0
"""Seconds in which a server that is away must come back for what was made to be removed."""

HOPELESS = (
    "ErrImageNeverPull",
    "InvalidImageName",
    "CreateContainerConfigError",
    "CreateContainerError",
)
"""What a container waits for that no patience mends."""


@dataclass(frozen=True, slots=True)
class Pace:
    """How long is waited, in seconds.

    Attributes:
        run: for all pods to run and to say what they see.
        wait: for the scheduler to say that the one more must wait.
        gone: for the pods to be gone.
        look: from look to look.
    """

    run: float = 120.0
    wait: float = 30.0
    gone: float = 60.0
    look: float = 0.5


class Left(ClusterError):
    """Something that was made is still there."""


@dataclass(frozen=True, slots=True)
class Smoke:
    """Tries targets.

    Attributes:
        api: the door.
        wish: what the pods are to be like.
        pace: how long is waited.
        tell: is told what happens.
        everybody: all pods with GPUs, to hurt none.
    """

    api: Api
    wish: Wish
    pace: Pace
    tell: Tell
    everybody: tuple[GpuPod, ...] = ()

    async def prove(self, target: Target, name: str) -> Proof:
        """Try one target under a name of its own.

        Raises:
            ClusterError: the server is away, refuses, or what was made cannot be removed.
        """
        async with self._removed(name):
            ran, trouble, owner = await self._run(target, name)
            tried = target.free
            if trouble:
                return Proof(target, tried, ran, trouble, not_waited="not tried", unproven=True)
            waited, why_not, unproven = await self._ask_for_one_more(target, name, owner)
            return Proof(target, tried, ran, "", waited, why_not, unproven)

    async def _run(
        self, target: Target, name: str
    ) -> tuple[dict[str, Sight], str, Mapping[str, Any] | None]:
        """All smoke pods at once: what they see, what is wrong, and the Deployment's metadata."""
        if not target.free:
            return {}, "", None
        body = deployment(name, target.node, target.resource, target.free, self.wish)
        made = await _whole(self.api.create(DEPLOYMENTS, body, self.wish.namespace))
        self.tell(f"{target.title}: {target.free} pods made")
        ran: dict[str, Sight] = {}
        pods: list[Object] = []
        end = time.monotonic() + self.pace.run
        while len(ran) < target.free:
            pods = await self._pods(name)
            await self._listen(pods, ran, target)
            trouble = next((t for pod in pods if (t := _hopeless(pod))), "")
            if trouble or (time.monotonic() > end and len(ran) < target.free):
                return ran, trouble or await self._why(name, pods, ran, target), metadata(made)
            await asyncio.sleep(self.pace.look if len(ran) < target.free else 0)
        return ran, "", metadata(made)

    async def _listen(self, pods: list[Object], ran: dict[str, Sight], target: Target) -> None:
        """Read the logs of those that run and have not said anything yet."""
        before = len(ran)
        for pod in pods:
            name = str(metadata(pod)["name"])
            if name not in ran and pod_of(pod).phase == "Running":
                with suppress(NoSight, NotFound):
                    ran[name] = read(await self._log(name))
        if len(ran) > before:
            self.tell(f"{target.title}: {len(ran)} of {target.free} pods run")

    async def _log(self, pod: str) -> str:
        path = f"{PODS.path(self.wish.namespace, pod)}/log"
        try:
            raw = await self.api.fetch(path, {"container": "smoke", "limitBytes": "65536"})
        except ClusterError as error:
            if isinstance(error, Away) or type(error) is ClusterError:
                return ""  # not started yet, or its kubelet is slow: asked again
            raise
        return raw.decode(errors="replace")

    async def _why(
        self, name: str, pods: list[Object], ran: Mapping[str, Sight], target: Target
    ) -> str:
        """Why not all of them run."""
        words = [
            f"{metadata(p)['name']}: {_state(p)}" for p in pods if metadata(p)["name"] not in ran
        ]
        if len(pods) < target.free:
            with suppress(ClusterError):
                words.append(_refused(await self.api.get(DEPLOYMENTS, name, self.wish.namespace)))
        why = next((word for word in words if word), "nobody says why")
        return f"{len(ran)} of {target.free} pods ran within {self.pace.run:g} s: {why}"

    async def _ask_for_one_more(
        self, target: Target, name: str, owner: Mapping[str, Any] | None
    ) -> tuple[str, str, bool]:
        """What the scheduler says of it; or why it did not wait, and whether that was only not tried."""
        victim = await self._victim(target, name)
        if victim:
            return "", f"one more was not asked for: it might displace {victim}", True
        body = one_more(name, target.node, target.resource, self.wish, owner)
        await _whole(self.api.create(PODS, body, self.wish.namespace))
        end = time.monotonic() + self.pace.wait
        while time.monotonic() < end:
            seen = pod_of(await self.api.get(PODS, body["metadata"]["name"], self.wish.namespace))
            if seen.node:
                return "", "one more pod was placed, with every replica held", False
            if f"Insufficient {target.resource}" in seen.message:
                return seen.message, "", False
            await asyncio.sleep(self.pace.look)
        return "", f"one more pod waits, and not for {target.resource}: {seen.message}", False

    async def _victim(self, target: Target, name: str) -> str:
        """A pod of lower priority on that node, which the scheduler might remove for one more."""
        ours = [pod_of(pod) for pod in await self._pods(name)]
        priority = max((pod.priority for pod in ours), default=0)
        for pod in self.everybody:
            if pod.holds_on(target.node.name, target.resource) and pod.priority < priority:
                return f"{pod.namespace}/{pod.name}"
        return ""

    async def _pods(self, name: str) -> list[Object]:
        labels = f"{RUN}={self.wish.run},rota.dev/verify-target={name}"
        view = View(PODS, self.wish.namespace, labels=labels)
        return list((await self.api.list(view, fresh=True)).items)

    @asynccontextmanager
    async def _removed(self, name: str) -> AsyncIterator[None]:
        """Whatever happens inside, nothing of that name is left."""
        try:
            yield
        finally:
            await self._remove(name)

    async def _remove(self, name: str) -> None:
        self.tell(f"{name}: removed")
        end = time.monotonic() + CLEANING
        for kind, what in ((DEPLOYMENTS, name), (PODS, f"{name}-one-more")):
            await self._delete(kind, what, end)
        end = time.monotonic() + self.pace.gone
        while await self._some_left(name):
            if time.monotonic() > end:
                raise self._left("its pods are still ending")
            await asyncio.sleep(min(self.pace.look, 1.0))

    async def _delete(self, kind: Kind, name: str, end: float) -> None:
        while True:
            try:
                await self.api.delete(kind, name, self.wish.namespace, propagation="Background")
                return
            except NotFound:
                return
            except ClusterError as error:
                if not isinstance(error, Away) or time.monotonic() > end:
                    raise self._left(f"{kind.kind} {name} is left: {error.what}") from error
                await asyncio.sleep(error.after or self.pace.look)

    async def _some_left(self, name: str) -> bool:
        try:
            return bool(await self._pods(name))
        except Away:
            return True

    def _left(self, what: str) -> Left:
        labels = f"kubectl delete deployment,pod -n {self.wish.namespace} -l {RUN}={self.wish.run}"
        return Left(what, where=f"run {self.wish.run}", hint=labels)


async def _whole(doing: Coroutine[Any, Any, T]) -> T:
    """Do it to its end even when cancelled, and be cancelled then."""
    task = asyncio.ensure_future(doing)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.gather(task, return_exceptions=True)
        raise


def _hopeless(pod: Object) -> str:
    """What no patience mends."""
    seen = pod_of(pod)
    if seen.phase == "Failed":
        return f"{seen.name} failed: {seen.reason}: {seen.message}"
    reasons = [w.get("reason") for w in _waiting(pod)]
    return f"{seen.name}: {_state(pod)}" if any(r in HOPELESS for r in reasons) else ""


def _state(pod: Object) -> str:
    """Why a pod does not run, in the cluster's words."""
    for waiting in _waiting(pod):
        return ": ".join(str(w) for w in (waiting.get("reason"), waiting.get("message")) if w)
    seen = pod_of(pod)
    if seen.phase == "Running":
        return "runs, and its log does not say what it sees"
    return seen.message or seen.reason or seen.phase


def _waiting(pod: Object) -> list[Mapping[str, Any]]:
    statuses = (pod.get("status") or {}).get("containerStatuses") or ()
    states = [(status.get("state") or {}).get("waiting") for status in statuses]
    return [state for state in states if state]


def _refused(deployment: Object) -> str:
    """Why there are fewer pods than it wants: a quota, or an admission policy."""
    for condition in (deployment.get("status") or {}).get("conditions") or ():
        if condition.get("type") == "ReplicaFailure" and condition.get("status") == "True":
            return str(condition.get("message") or "")
    return ""
