"""The node's labels are kept: ours, no others, and by whoever may."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from rota.cluster.kube import KubeApi
from rota.cluster.labels import MANAGER, STAMP, FeatureFile, Keeper, NodeLabels
from rota.cluster.pace import Backoff
from tests.cluster.conftest import Log, at_once, until
from tests.cluster.fake import FakeCluster
from tests.cluster.fake.fields import owners

ONE = {"nvidia.com/gpu.count": "1", "rota.dev/turns": "exclusive"}


@asynccontextmanager
async def kept(keeper: Keeper) -> AsyncIterator[None]:
    task = asyncio.create_task(keeper.run())
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


def keeper_of(api: KubeApi, log: Log) -> NodeLabels:
    return NodeLabels(
        api, "here", at_once(), log.troubles, spread=0.0, lacking=0.05, clock=lambda: 77.0,
        backoff=Backoff(0.05, 0.1),
    )  # fmt: skip


def node(cluster: FakeCluster, **labels: str) -> None:
    cluster.store.create("nodes", {"metadata": {"name": "here", "labels": labels}}, "kubelet")


def now(cluster: FakeCluster) -> dict[str, str]:
    return dict(cluster.store.get("nodes", "", "here")["metadata"].get("labels", {}))


async def test_they_are_written_changed_and_removed(
    cluster: FakeCluster, api: KubeApi, log: Log
) -> None:
    node(cluster, zone="a")
    keeper = keeper_of(api, log)
    async with kept(keeper):
        keeper.want(ONE)
        await until(lambda: now(cluster) == {**ONE, "zone": "a", STAMP: "77"})
        keeper.want({"rota.dev/turns": "driver"})
        await until(lambda: now(cluster) == {"rota.dev/turns": "driver", "zone": "a"})
        asked = len(cluster.asked)
        keeper.want({"rota.dev/turns": "driver"})
        keeper.seen(now(cluster))
        await asyncio.sleep(0)
    assert len(cluster.asked) == asked, "what is as it should be is not asked for"
    thing = cluster.store.get("nodes", "", "here")
    assert owners(thing, "metadata", "labels", "rota.dev/turns") == {(MANAGER, "Apply")}


async def test_one_that_somebody_took_away_is_written_again(
    cluster: FakeCluster, api: KubeApi, log: Log
) -> None:
    node(cluster)
    keeper = keeper_of(api, log)
    async with kept(keeper):
        keeper.want(ONE)
        await until(lambda: now(cluster).get("rota.dev/turns"))
        gone = {"metadata": {"labels": {"rota.dev/turns": None}}}
        cluster.store.merge("nodes", "", "here", gone, "kubectl")
        keeper.seen(now(cluster))
        await until(lambda: now(cluster).get("rota.dev/turns"))


async def test_one_that_somebody_else_owns_is_theirs_and_told_once(
    cluster: FakeCluster, api: KubeApi, log: Log
) -> None:
    node(cluster, **{"nvidia.com/gpu.count": "8"})
    keeper = keeper_of(api, log)
    async with kept(keeper):
        keeper.want(ONE)
        await until(lambda: now(cluster).get("rota.dev/turns"))
        keeper.seen(now(cluster))
        keeper.want({**ONE, "rota.dev/quantum": "1s"})
        await until(lambda: now(cluster).get("rota.dev/quantum"))
    assert now(cluster)["nvidia.com/gpu.count"] == "8"
    assert log.events == ["labels of somebody else are left alone"]


async def test_without_the_right_it_says_so_and_tries_again(
    cluster: FakeCluster, api: KubeApi, log: Log
) -> None:
    node(cluster)
    cluster.forbidden = {("patch", "nodes")}
    keeper = keeper_of(api, log)
    async with kept(keeper):
        keeper.want(ONE)
        await until(lambda: "labels of the node are not kept" in log)
        cluster.forbidden = set()
        await until(lambda: now(cluster))


async def test_through_node_feature_discovery_they_are_a_file(tmp_path: Path, log: Log) -> None:
    file = FeatureFile(tmp_path / "rota", log.troubles)
    async with kept(file):
        file.want(ONE)
        assert (
            tmp_path / "rota"
        ).read_text() == "nvidia.com/gpu.count=1\nrota.dev/turns=exclusive\n"
        await asyncio.sleep(0)
    assert not (tmp_path / "rota").exists()
    FeatureFile(tmp_path / "none" / "rota", log.troubles).want(ONE)
    assert log.events == ["labels of the node are not kept"]
