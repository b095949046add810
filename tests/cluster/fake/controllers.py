"""What makes objects live: Deployments get pods, pods get nodes, nodes tell what they offer.

Of Kubernetes' controllers and scheduler as much as a smoke test of GPUs meets. A node is a kubelet
on paper, which starts everything at once, or the embedded one, whose pods are real processes.
"""

from __future__ import annotations

import asyncio
import copy
import secrets
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Protocol

from rota.kubelet.embedded import ContainerSpec, EmbeddedKubelet, PodSpec
from rota.kubelet.embedded.scheduler import insufficient, sentence
from tests.cluster.fake.server import FakeCluster
from tests.cluster.fake.store import Problem, Store, Thing

LETTERS = "bcdfghjklmnpqrstvwxz2456789"
OVER = ("Succeeded", "Failed")
DOMAIN = "nvidia.com/"


class Kubelet(Protocol):
    """A node, as far as the API server hears of it."""

    @property
    def name(self) -> str: ...

    def capacity(self) -> dict[str, int]: ...

    def allocatable(self) -> dict[str, int]: ...

    def start(self, pod: Thing) -> None: ...

    def status(self, pod: Thing) -> Thing: ...

    def log(self, pod: Thing) -> str: ...

    async def end(self, pod: Thing) -> None: ...


@dataclass
class Paper:
    """A kubelet that only says so.

    Attributes:
        name: the node's.
        offers: resource → devices.
        says: a pod's log, from the pod and the numbers of the devices that it got.
        waiting: reason and message that containers wait with; they run where it is empty.
        refuses: the message of an UnexpectedAdmissionError; empty where it takes them.
    """

    name: str
    offers: dict[str, int]
    says: Callable[[Thing, int], str] = lambda pod, number: ""
    waiting: str = ""
    refuses: str = ""
    pods: list[str] = field(default_factory=list)

    def capacity(self) -> dict[str, int]:
        return self.offers

    def allocatable(self) -> dict[str, int]:
        return self.offers

    def start(self, pod: Thing) -> None:
        self.pods.append(pod["metadata"]["name"])

    def status(self, pod: Thing) -> Thing:
        if self.refuses:
            return {
                "phase": "Failed",
                "reason": "UnexpectedAdmissionError",
                "message": self.refuses,
            }
        if self.waiting:
            reason, _, message = self.waiting.partition(": ")
            state = {"waiting": {"reason": reason, "message": message}}
            return {"phase": "Pending", "containerStatuses": [{"name": "smoke", "state": state}]}
        return {"phase": "Running", "containerStatuses": [{"name": "smoke", "ready": True}]}

    def log(self, pod: Thing) -> str:
        return self.says(pod, self.pods.index(pod["metadata"]["name"]))

    async def end(self, pod: Thing) -> None:
        self.pods.remove(pod["metadata"]["name"])


class Embedded:
    """The embedded kubelet as a node of the cluster."""

    def __init__(self, kubelet: EmbeddedKubelet, name: str) -> None:
        self.name = name
        self._kubelet = kubelet

    def capacity(self) -> dict[str, int]:
        return self._kubelet.capacity()

    def allocatable(self) -> dict[str, int]:
        return self._kubelet.allocatable()

    def start(self, pod: Thing) -> None:
        self._kubelet.add_pod(spec_of(pod))

    def status(self, pod: Thing) -> Thing:
        meta = pod["metadata"]
        seen = self._kubelet.pod(meta["namespace"], meta["name"])
        states = [
            {
                "name": c.name,
                "ready": c.state == "running",
                "state": {c.state: {"reason": c.reason}},
            }
            for c in seen.containers
        ]
        found: Thing = {"phase": seen.phase, "containerStatuses": states}
        return found | ({"reason": seen.reason, "message": seen.message} if seen.reason else {})

    def log(self, pod: Thing) -> str:
        return self._kubelet.log(pod["metadata"]["namespace"], pod["metadata"]["name"])

    async def end(self, pod: Thing) -> None:
        await self._kubelet.delete_pod(pod["metadata"]["namespace"], pod["metadata"]["name"])


def spec_of(pod: Thing) -> PodSpec:
    """A pod as the embedded kubelet takes it."""
    spec, meta = pod["spec"], pod["metadata"]
    containers = tuple(
        ContainerSpec(
            one["name"],
            tuple(one["command"]),
            limits={n: int(v) for n, v in limits_of(one).items() if n.startswith(DOMAIN)},
            env={e["name"]: e["value"] for e in one.get("env") or ()},
        )
        for one in spec["containers"]
    )
    grace = spec.get("terminationGracePeriodSeconds", 30)
    return PodSpec(meta["name"], containers, meta["namespace"], termination_grace_seconds=grace)


class Controllers:
    """Keeps a fake cluster moving until it is cancelled.

    Attributes:
        placing: the scheduler works; else no pod gets a node.
        generous: the scheduler places pods that do not fit, as a broken one would.
        quota: pods that the namespace may have; a Deployment says so where it wants more.
    """

    def __init__(self, cluster: FakeCluster, *kubelets: Kubelet) -> None:
        self.placing, self.generous, self.quota = True, False, 1000
        self._store: Store = cluster.store
        self._kubelets = {kubelet.name: kubelet for kubelet in kubelets}
        self._started: dict[str, Thing] = {}
        cluster.parts["pods/log"] = self._log

    async def run(self) -> None:
        """Look whenever something changed, and now and then: kubelets do not tell."""
        bell = asyncio.Event()
        stop = self._store.listen(lambda past: bell.set())
        try:
            while True:
                bell.clear()
                await self.settle()
                with suppress(TimeoutError):
                    async with asyncio.timeout(0.05):
                        await bell.wait()
        finally:
            stop()

    async def settle(self) -> None:
        """One look at everything."""
        for kubelet in self._kubelets.values():
            status = {"capacity": kubelet.capacity(), "allocatable": kubelet.allocatable()}
            self._write("nodes", "", kubelet.name, {"status": strings(status)})
        for deployment in self._store.all("deployments"):
            self._make_pods(deployment)
        for pod in list(self._store.all("pods")):
            if self._orphan(pod):
                meta = pod["metadata"]
                self._store.delete("pods", meta["namespace"], meta["name"])
            elif not pod["spec"].get("nodeName"):
                self._place(pod)
            elif pod["spec"]["nodeName"] in self._kubelets:
                self._live(pod)
        await self._end_those_gone()

    def _make_pods(self, deployment: Thing) -> None:
        meta, spec = deployment["metadata"], deployment["spec"]
        own = [p for p in self._store.all("pods", meta["namespace"]) if owner_of(p) == meta["uid"]]
        room = self.quota - sum(1 for _ in self._store.all("pods", meta["namespace"]))
        missing = spec["replicas"] - len(own)
        for _ in range(max(0, min(missing, room))):
            name = f"{meta['name']}-" + "".join(secrets.choice(LETTERS) for _ in range(5))
            owner = {"kind": "ReplicaSet", "name": meta["name"], "uid": meta["uid"]}
            template = copy.deepcopy(spec["template"])
            template["metadata"] |= {
                "name": name, "namespace": meta["namespace"], "ownerReferences": [owner],
            }  # fmt: skip
            self._store.create("pods", template)
        if missing > room:
            failure = {
                "type": "ReplicaFailure",
                "status": "True",
                "message": "exceeded quota: team",
            }
            status = {"status": {"conditions": [failure]}}
            self._write("deployments", meta["namespace"], meta["name"], status)

    def _orphan(self, pod: Thing) -> bool:
        uids = {d["metadata"]["uid"] for d in self._store.all("deployments")}
        owner = next(iter(pod["metadata"].get("ownerReferences") or ()), None)
        return owner is not None and owner["kind"] != "DaemonSet" and owner["uid"] not in uids

    def _place(self, pod: Thing) -> None:
        wanted = asked(pod)
        missing: tuple[str, ...] = ()
        for name, kubelet in self._kubelets.items():
            if not self.placing or not admits(pod, name):
                continue
            bound = [asked(p) for p in self._store.all("pods") if bound_to(p, name)]
            missing = insufficient(wanted, bound, kubelet.allocatable())
            if not missing or self.generous:
                self._write_pod(pod, {"spec": {"nodeName": name}})
                return
        message = sentence(missing) if missing else "0/1 nodes are available."
        condition = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable"}
        status = {"phase": "Pending", "conditions": [condition | {"message": message}]}
        self._write_pod(pod, {"status": status})

    def _live(self, pod: Thing) -> None:
        kubelet, uid = self._kubelets[pod["spec"]["nodeName"]], pod["metadata"]["uid"]
        if uid not in self._started:
            self._started[uid] = pod
            kubelet.start(pod)
        self._write_pod(pod, {"status": kubelet.status(pod)})

    async def _end_those_gone(self) -> None:
        here = {pod["metadata"]["uid"] for pod in self._store.all("pods")}
        for uid in [uid for uid in self._started if uid not in here]:
            pod = self._started.pop(uid)
            await self._kubelets[pod["spec"]["nodeName"]].end(pod)

    async def _log(self, namespace: str, name: str, rest: str) -> bytes:
        pod = self._store.get("pods", namespace, name)
        kubelet = self._kubelets.get(pod["spec"].get("nodeName", ""))
        if kubelet is None or pod["metadata"]["uid"] not in self._started:
            raise Problem(400, f'container in pod "{name}" is waiting to start')
        return kubelet.log(pod).encode()

    def _write_pod(self, pod: Thing, patch: Thing) -> None:
        self._write("pods", pod["metadata"]["namespace"], pod["metadata"]["name"], patch)

    def _write(self, plural: str, namespace: str, name: str, patch: Thing) -> None:
        with suppress(Problem):
            self._store.merge(plural, namespace, name, patch, "controller")


def asked(pod: Thing) -> dict[str, int]:
    """What a pod asks for, of GPUs."""
    found: dict[str, int] = {}
    for one in pod["spec"]["containers"]:
        for name, count in limits_of(one).items():
            if name.startswith(DOMAIN):
                found[name] = found.get(name, 0) + int(count)
    return found


def limits_of(container: Thing) -> dict[str, Any]:
    return (container.get("resources") or {}).get("limits") or {}


def bound_to(pod: Thing, node: str) -> bool:
    over = (pod.get("status") or {}).get("phase") in OVER
    return bool(pod["spec"].get("nodeName") == node and not over)


def admits(pod: Thing, node: str) -> bool:
    """Whether its affinity takes the node."""
    affinity = (pod["spec"].get("affinity") or {}).get("nodeAffinity") or {}
    required = affinity.get("requiredDuringSchedulingIgnoredDuringExecution") or {}
    names = [list(_names(term)) for term in required.get("nodeSelectorTerms") or ()]
    return not names or any(node in each for each in names)


def _names(term: Thing) -> Iterator[str]:
    for field_ in term.get("matchFields") or ():
        yield from field_["values"]


def owner_of(pod: Thing) -> str:
    owner = next(iter(pod["metadata"].get("ownerReferences") or ()), None)
    return str(owner["uid"]) if owner and owner["kind"] == "ReplicaSet" else ""


def strings(status: dict[str, dict[str, int]]) -> Thing:
    """Amounts as the API writes them; what is gone is taken away."""
    return {key: {n: str(c) for n, c in amounts.items()} for key, amounts in status.items()}
