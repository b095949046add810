"""NVIDIA's plugin is restarted after an edit, on one node at a time, and never blindly."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta

import pytest

from rota.cluster.door import PODS, View
from rota.cluster.events import Recorder
from rota.cluster.follow import Follow, Timing
from rota.cluster.kube import KubeApi
from rota.cluster.pods import Pods
from rota.cluster.restart import Restarter
from rota.cluster.rights import LEASE
from rota.cluster.selector import Selector
from tests.cluster.conftest import Log, at_once, until
from tests.cluster.fake import FakeCluster
from tests.cluster.fake.store import Past, Thing

HERE = Selector("gpu-operator", "app", "plugin")
WHAT = "NVIDIA's plugin is not restarted, and serves what it read last"


def plugin(node: str, number: int = 1, *, ready: bool = True) -> Thing:
    return {
        "metadata": {
            "name": f"plugin-{node}-{number}",
            "namespace": "gpu-operator",
            "labels": {"app": "plugin"},
        },
        "spec": {"nodeName": node},
        "status": {"conditions": [{"type": "Ready", "status": str(ready)}]},
    }


@asynccontextmanager
async def node(
    api: KubeApi, log: Log, name: str = "here", ready: float = 300.0
) -> AsyncIterator[Restarter]:
    recorder = Recorder(api, name, at_once(), log.troubles, spread=0.0)
    pods = Pods(lambda: None, lambda *_: None, HERE.fits)
    view = View(PODS, fields=f"spec.nodeName={name}", metadata_only=True)
    follow = Follow(api, view, pods, at_once(), log.troubles, "pods", Timing(0.05, 0.1))
    restarter = Restarter(
        api, name, HERE, pods, at_once(), recorder, log.troubles, log.logger,
        wait=(0.02, 0.05), ready=ready, look=0.02, lacking=0.05,
    )  # fmt: skip
    tasks = [asyncio.create_task(each.run()) for each in (recorder, follow, restarter)]
    try:
        await until(follow.settled.is_set)
        yield restarter
    finally:
        for task in tasks:
            task.cancel()
        for task in tasks:
            with suppress(asyncio.CancelledError):
                await task


def daemon_set(cluster: FakeCluster, *, ready: bool = True) -> None:
    """Make a new pod for each that is deleted."""

    def look(past: Past) -> None:
        if past.key[0] == "pods" and past.after is None and past.before:
            where = past.before["spec"]["nodeName"]
            number = int(past.key[2].rpartition("-")[2]) + 1
            cluster.store.create("pods", plugin(where, number, ready=ready))

    cluster.store.listen(look)


def names(cluster: FakeCluster) -> set[str]:
    return {pod["metadata"]["name"] for pod in cluster.store.all("pods")}


def lease(cluster: FakeCluster) -> Thing:
    found: Thing = cluster.store.get("leases", "gpu-operator", LEASE)["spec"]
    return found


def hold(cluster: FakeCluster, holder: str, ago: float) -> None:
    renewed = (datetime.now(UTC) - timedelta(seconds=ago)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    spec = {"holderIdentity": holder, "leaseDurationSeconds": 300, "renewTime": renewed}
    meta = {"name": LEASE, "namespace": "gpu-operator"}
    cluster.store.create("leases", {"metadata": meta, "spec": spec})


async def test_it_is_restarted_and_the_lease_given_back(
    cluster: FakeCluster, api: KubeApi, log: Log
) -> None:
    daemon_set(cluster)
    cluster.store.create("pods", plugin("here"))
    cluster.store.create("pods", plugin("there"))
    async with node(api, log) as restarter:
        restarter.due()
        await until(lambda: names(cluster) == {"plugin-here-2", "plugin-there-1"})
        await until(lambda: lease(cluster)["holderIdentity"] == "")
        await until(lambda: cluster.events("PluginRestarted"))


async def test_two_nodes_never_restart_at_a_time(
    cluster: FakeCluster, api: KubeApi, log: Log
) -> None:
    cluster.store.create("pods", plugin("a"))
    cluster.store.create("pods", plugin("b"))
    async with node(api, log, "a") as first, node(api, log, "b") as second:
        first.due()
        second.due()
        await until(lambda: len(names(cluster)) == 1)
        asked = cluster.count("get", "leases")
        await until(lambda: cluster.count("get", "leases") > asked + 3)
        assert len(names(cluster)) == 1, "the other one waits until this one is back"
        (gone,) = {"a", "b"} - {name.split("-")[1] for name in names(cluster)}
        cluster.store.create("pods", plugin(gone, 2))
        await until(lambda: len(names(cluster)) == 1 and "-2" in next(iter(names(cluster))))


async def test_a_lease_of_a_node_that_died_expires(
    cluster: FakeCluster, api: KubeApi, log: Log
) -> None:
    daemon_set(cluster)
    cluster.store.create("pods", plugin("here"))
    hold(cluster, "dead", ago=301)
    async with node(api, log) as restarter:
        restarter.due()
        await until(lambda: names(cluster) == {"plugin-here-2"})


async def test_a_lease_that_somebody_holds_is_waited_for(
    cluster: FakeCluster, api: KubeApi, log: Log
) -> None:
    cluster.store.create("pods", plugin("here"))
    hold(cluster, "other", ago=10)
    async with node(api, log) as restarter:
        restarter.due()
        await until(lambda: cluster.count("get", "leases") > 3)
    assert names(cluster) == {"plugin-here-1"}


async def test_one_that_is_not_ready_again_is_told(
    cluster: FakeCluster, api: KubeApi, log: Log
) -> None:
    daemon_set(cluster, ready=False)
    cluster.store.create("pods", plugin("here"))
    async with node(api, log, ready=0.3) as restarter:
        restarter.due()
        await until(lambda: cluster.events("PluginNotBack"))


async def test_where_there_is_no_plugin_it_says_so_and_waits_for_one(
    cluster: FakeCluster, api: KubeApi, log: Log
) -> None:
    daemon_set(cluster)
    async with node(api, log) as restarter:
        restarter.due()
        await until(lambda: log.troubles.now.get(WHAT))
        assert log.troubles.now[WHAT] == "no pod gpu-operator/app=plugin is on this node"
        cluster.store.create("pods", plugin("here"))
        await until(lambda: names(cluster) == {"plugin-here-2"})
        await until(lambda: WHAT not in log.troubles.now)


async def test_without_the_right_it_says_so_and_lets_others_go_on(
    cluster: FakeCluster, api: KubeApi, log: Log
) -> None:
    cluster.forbidden = {("delete", "pods")}
    cluster.store.create("pods", plugin("here"))
    async with node(api, log) as restarter:
        restarter.due()
        await until(lambda: "cannot delete" in log.troubles.now.get(WHAT, ""))
        await until(lambda: lease(cluster)["holderIdentity"] == "")


@pytest.mark.parametrize("text", ["", "x", "a/b", "a/=c", "/b=c", "a/b="])
def test_a_malformed_selector_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="NAMESPACE/LABEL=VALUE"):
        Selector.parse(text)
    assert Selector.parse("gpu-operator/app=plugin") == HERE
