"""A view is followed through everything that an API server and a network do."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress

from rota.cluster.door import PODS, Change, Object, View, metadata
from rota.cluster.follow import Follow, Timing
from rota.cluster.kube import KubeApi
from tests.cluster.conftest import Log, at_once, pod, until
from tests.cluster.fake import FakeCluster

HERE = View(PODS, fields="spec.nodeName=here", metadata_only=True)
WHAT = "pods are not seen"
QUICK = Timing(first=0.05, longest=0.2, lacking=0.1, watch=(60.0, 90.0))


class Names:
    """Remembers the names that there are now, and how they came."""

    def __init__(self) -> None:
        self.now: set[str] = set()
        self.listed = 0
        self.changes: list[str] = []
        self.lacking = 0

    def denied(self) -> None:
        self.lacking += 1

    def replaced(self, objects: Sequence[Object]) -> None:
        self.now = {metadata(one)["name"] for one in objects}
        self.listed += 1

    def changed(self, change: Change) -> None:
        name = metadata(change.object)["name"]
        self.changes.append(f"{change.what} {name}")
        self.now = self.now - {name} if change.what == "DELETED" else self.now | {name}


@asynccontextmanager
async def following(
    api: KubeApi, log: Log, timing: Timing = QUICK, view: View = HERE
) -> AsyncIterator[tuple[Names, Follow]]:
    names = Names()
    follow = Follow(api, view, names, at_once(), log.troubles, WHAT, timing)
    task = asyncio.create_task(follow.run())
    try:
        yield names, follow
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def test_what_is_there_is_listed_and_what_changes_is_told(
    cluster: FakeCluster, api: KubeApi, log: Log
) -> None:
    cluster.store.create("pods", pod("a"))
    cluster.store.create("pods", pod("elsewhere", node="there"))
    async with following(api, log) as (names, _):
        await until(lambda: names.now == {"a"})
        cluster.store.create("pods", pod("b"))
        cluster.store.create("pods", pod("elsewhere-2", node="there"))
        cluster.store.delete("pods", "default", "a")
        await until(lambda: names.now == {"b"})
    assert names.changes == ["ADDED b", "DELETED a"]
    assert cluster.count("list", "pods") == 1


async def test_spec_and_status_do_not_travel(cluster: FakeCluster, api: KubeApi) -> None:
    cluster.store.create("pods", pod("a"))
    (thing,) = (await api.list(HERE)).items
    assert set(thing) == {"kind", "apiVersion", "metadata"}


async def test_a_watch_that_ends_goes_on_where_it_was(
    cluster: FakeCluster, api: KubeApi, log: Log
) -> None:
    async with following(api, log, Timing(watch=(1.0, 1.0))) as (names, _):
        await until(lambda: cluster.count("watch", "pods") >= 2)
        cluster.store.create("pods", pod("a"))
        await until(lambda: names.now == {"a"})
    assert names.changes == ["ADDED a"]
    assert names.listed == 1


async def test_a_broken_connection_loses_nothing(
    cluster: FakeCluster, api: KubeApi, log: Log
) -> None:
    async with following(api, log) as (names, _):
        await until(lambda: cluster.watching)
        await cluster.hang_up()
        cluster.store.create("pods", pod("a"))
        cluster.store.create("pods", pod("b"))
        cluster.store.delete("pods", "default", "a")
        await until(lambda: names.now == {"b"})
    assert names.changes == ["ADDED a", "ADDED b", "DELETED a"]
    assert names.listed == 1


async def test_a_forgotten_version_is_listed_anew(
    cluster: FakeCluster, api: KubeApi, log: Log
) -> None:
    cluster.store.create("pods", pod("a"))
    async with following(api, log) as (names, _):
        await until(lambda: cluster.watching)
        await cluster.stop()
        cluster.store.delete("pods", "default", "a")
        cluster.store.create("pods", pod("b"))
        cluster.store.forget()
        await cluster.start()
        await until(lambda: names.now == {"b"})
    assert names.listed == 2


async def test_a_server_that_is_away_and_back_is_told_once_each(
    cluster: FakeCluster, api: KubeApi, log: Log
) -> None:
    cluster.store.create("pods", pod("a"))
    async with following(api, log) as (names, _):
        await until(lambda: cluster.watching)
        await cluster.stop()
        await until(lambda: WHAT in log)
        assert names.now == {"a"}, "what was known stays"
        await cluster.start()
        await until(lambda: "well again" in log)
        await until(lambda: cluster.watching)
    assert log.events == [WHAT, "well again"]


async def test_a_server_that_is_out_of_order_is_left_alone_longer_and_longer(
    cluster: FakeCluster, api: KubeApi, log: Log
) -> None:
    cluster.failing = 503
    async with following(api, log, Timing(first=0.05, longest=60.0)) as (_, follow):
        await asyncio.wait_for(follow.settled.wait(), 20)
        await until(lambda: cluster.count("list", "pods") >= 3)
        cluster.failing = 0
        await until(lambda: "well again" in log)
    assert cluster.count("list", "pods") < 20


async def test_a_missing_right_is_told_and_tried_again_later(
    cluster: FakeCluster, api: KubeApi, log: Log
) -> None:
    cluster.forbidden = {("list", "pods")}
    cluster.store.create("pods", pod("a"))
    async with following(api, log) as (names, follow):
        await until(lambda: follow.forbidden)
        assert names.lacking
        assert 'cannot list resource "pods"' in log.troubles.now[WHAT]
        cluster.forbidden = set()
        await until(lambda: names.now == {"a"})
        assert not follow.forbidden


async def test_a_slow_answer_is_waited_for(cluster: FakeCluster, api: KubeApi, log: Log) -> None:
    cluster.delay = 0.5
    cluster.store.create("pods", pod("a"))
    async with following(api, log) as (names, _):
        await until(lambda: names.now == {"a"})
    assert log.events == []


async def test_a_right_that_goes_while_it_watches_keeps_what_is_known(
    cluster: FakeCluster, api: KubeApi, log: Log
) -> None:
    cluster.store.create("pods", pod("a"))
    async with following(api, log) as (names, follow):
        await until(lambda: cluster.watching)
        cluster.forbidden = {("watch", "pods")}
        await cluster.hang_up()
        await until(lambda: follow.forbidden)
        assert names.now == {"a"}
