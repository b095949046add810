"""A node of a cluster: a Kubernetes API over HTTP, an embedded kubelet, an emulated GPU."""

from __future__ import annotations

import asyncio
import sys
from collections import defaultdict
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from rota.agent.citizen import Tempo, Terms
from rota.agent.cluster import ClusterAgent
from rota.agent.logs import make_logger
from rota.cluster.follow import Timing
from rota.cluster.selector import Selector
from rota.gatekeeper.client import NoGatekeeper, ask, read_turns
from rota.kubelet.embedded import PodSpec
from rota.kubelet.embedded.spec import ContainerSpec
from tests.agent.conftest import GPU, Node
from tests.cluster.fake import FakeCluster

QUICK = Tempo(
    Timing(first=0.1, longest=0.3, lacking=0.3, watch=(60.0, 90.0)),
    every=0.0, spread=0.0, restarts=(0.05, 0.1), look=0.05,
)  # fmt: skip
MAP = ("rota", "config")
PLUGIN = Selector("gpu-operator", "app", "nvidia-device-plugin-daemonset")


class World:
    """A node of a cluster, and what a person does with kubectl."""

    def __init__(self, node: Node, cluster: FakeCluster) -> None:
        self.node = node
        self.cluster = cluster
        self.store = cluster.store

    def start(self, terms: Terms | None = None, **changes: Any) -> ClusterAgent:
        terms = terms or Terms(config_map=MAP)
        settings = self.node.settings(**({"config": None} | changes))
        log = make_logger("json", "debug", self.node.lines)
        agent = ClusterAgent(settings, log, terms, tempo=QUICK)
        self.node.agent, self.node.task = agent, asyncio.create_task(agent.run())
        return agent

    def config(self, **data: str) -> None:
        """`kubectl apply` of the ConfigMap; `data_` would be a key `data-`, say."""
        if ("configmaps", *MAP) in self.store.objects:
            before = self.store.get("configmaps", *MAP)
            self.store.replace("configmaps", *MAP, {**before, "data": data}, "kubectl")
        else:
            meta = {"namespace": MAP[0], "name": MAP[1]}
            self.store.create("configmaps", {"metadata": meta, "data": data}, "kubectl")

    def label(self, **labels: str | None) -> None:
        """`kubectl label node here nvidia.com/KEY=VALUE`, with `_` for what a keyword cannot have."""
        names = {"config": "nvidia.com/device-plugin.config"}
        wanted = {names.get(key, key): value for key, value in labels.items()}
        self.store.merge("nodes", "", "here", {"metadata": {"labels": wanted}}, "kubectl")

    @property
    def labels(self) -> dict[str, str]:
        return dict(self.store.get("nodes", "", "here")["metadata"].get("labels", {}))

    def pod(self, spec: PodSpec, **annotations: str) -> None:
        """A pod that the API server knows and the kubelet runs."""
        given = {f"rota.dev/{key}": value for key, value in annotations.items()}
        meta = {"namespace": "default", "name": spec.name, "annotations": given}
        self.store.create("pods", {"metadata": meta, "spec": {"nodeName": "here"}})
        self.node.kubelet.add_pod(spec)

    def delete_pod(self, name: str) -> None:
        """The API server marks it; the kubelet has not yet done anything."""
        when = {"metadata": {"deletionTimestamp": "2026-11-25T12:00:00Z"}}
        self.store.merge("pods", "default", name, when, "kubectl")

    def messages(self, reason: str, kind: str) -> list[str]:
        found = self.cluster.events(reason)
        return [e["message"] for e in found if e["involvedObject"]["kind"] == kind]

    async def until_told(self, reason: str, kind: str) -> list[str]:
        """The messages of such Events, once there are some."""
        found: list[str] = await self.until(lambda: self.messages(reason, kind))
        return found

    async def until(self, true: Callable[[], Any]) -> Any:
        return await self.node.until(true)


def trainer(name: str, count: int = 1, env: dict[str, str] | None = None) -> PodSpec:
    """A pod that computes without end."""
    command = (sys.executable, "-m", "rota.emulation.workloads", "trainer", "--kernel", "10ms")
    limits = {GPU: count} if count else {}
    container = ContainerSpec("main", command, limits=limits, env=env or {})
    return PodSpec(name, (container,), restart_policy="Never", termination_grace_seconds=1)


async def clients(node: Node) -> dict[str, Any]:
    """The gatekeeper's clients by pod; none where there is no gatekeeper yet."""
    with suppress(NoGatekeeper):
        state = await asyncio.to_thread(ask, node.folder / "run", {"op": "state"})
        return {id_.split("/")[1]: one for id_, one in state["clients"].items() if "/" in id_}
    return {}


async def turns_of(world: World, count: int) -> dict[str, float]:
    """GPU seconds by pod, in so many turns that somebody else waited for."""
    used: dict[str, float] = defaultdict(float)
    since = seen = 0
    async with asyncio.timeout(40):
        while seen < count:
            with suppress(NoGatekeeper):
                since, page = await asyncio.to_thread(read_turns, world.node.folder / "run", since)
                for turn in page:
                    if turn.waited > 0:
                        used[turn.client.split("/")[1]] += turn.used
                        seen += 1
            await asyncio.sleep(0.1)
    return dict(used)
