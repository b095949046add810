"""Events: few of them, none lost that matters, and never a reason to wait."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from rota.cluster.events import KEPT, TOO_MANY, Recorder, Ref
from rota.cluster.kube import KubeApi
from rota.cluster.pace import Backoff, Pace
from rota.cluster.reasons import ALL, CONFIG_REFUSED, UNGATED, UNMANAGED, table
from tests.cluster.conftest import Log, at_once, until
from tests.cluster.fake import FakeCluster

NODE = Ref.node("here")
POD = Ref("Pod", "p", "default", "uid-1")


class Clock:
    """Time that a test moves."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


@asynccontextmanager
async def recording(
    api: KubeApi, log: Log, pace: Pace | None = None, clock: Clock | None = None
) -> AsyncIterator[Recorder]:
    recorder = Recorder(
        api, "here", pace or at_once(), log.troubles, clock=clock or Clock(),
        lacking=0.1, spread=0.0, backoff=Backoff(0.05, 0.1),
    )  # fmt: skip
    task = asyncio.create_task(recorder.run())
    try:
        yield recorder
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def test_an_event_says_all_that_kubectl_shows(
    cluster: FakeCluster, api: KubeApi, log: Log
) -> None:
    async with recording(api, log) as recorder:
        recorder.tell(POD, UNGATED, "because")
        (event,) = await until(cluster.events)
    assert event["metadata"]["namespace"] == "default"
    assert event["involvedObject"] == {
        "apiVersion": "v1", "kind": "Pod", "name": "p", "namespace": "default", "uid": "uid-1",
    }  # fmt: skip
    assert (event["type"], event["reason"], event["message"]) == ("Warning", "Ungated", "because")
    assert event["count"] == 1
    assert event["source"] == {"component": "rota-agent", "host": "here"}


async def test_what_repeats_is_counted_in_one_event(
    cluster: FakeCluster, api: KubeApi, log: Log
) -> None:
    clock = Clock()
    async with recording(api, log, clock=clock) as recorder:
        recorder.tell(POD, UNGATED, "because")
        await until(lambda: recorder.written)
        for _ in range(1000):
            recorder.tell(POD, UNGATED, "because")
        clock.now += UNGATED.quiet
        recorder.tell(POD, UNGATED, "because")
        await until(lambda: cluster.events()[0]["count"] == 1002)
    assert len(cluster.events()) == 1
    assert cluster.count("patch", "events") == 1


async def test_an_event_that_has_expired_is_written_anew(
    cluster: FakeCluster, api: KubeApi, log: Log
) -> None:
    clock = Clock()
    async with recording(api, log, clock=clock) as recorder:
        recorder.tell(POD, UNGATED, "because")
        await until(lambda: recorder.written)
        (event,) = cluster.events()
        cluster.store.delete("events", "default", event["metadata"]["name"])
        clock.now += UNGATED.quiet
        recorder.tell(POD, UNGATED, "because")
        (event,) = await until(cluster.events)
    assert event["count"] == 1


async def test_a_thousand_pods_are_written_at_the_pace_and_the_config_before_them(
    cluster: FakeCluster, api: KubeApi, log: Log
) -> None:
    async with recording(api, log, Pace(3600.0, burst=3)) as recorder:
        recorder.tell(Ref("Pod", "first", "default"), UNMANAGED, "x")
        await until(lambda: recorder.written)
        for number in range(1000):
            recorder.tell(Ref("Pod", f"p{number}", "default"), UNMANAGED, "x")
        recorder.tell(NODE, CONFIG_REFUSED, "bad")
        await until(lambda: len(cluster.events()) == 3)
        assert cluster.events("ConfigRefused")
    assert len(cluster.events()) == 3
    assert log.events == [TOO_MANY]


async def test_one_that_is_let_go_while_its_turn_comes_is_no_fault(
    cluster: FakeCluster, api: KubeApi, log: Log
) -> None:
    async with recording(api, log, Pace(0.2, burst=1)) as recorder:
        for number in range(5 * KEPT):
            recorder.tell(Ref("Pod", f"p{number}", "default"), UNMANAGED, "x")
            if number % 100 == 0:
                await asyncio.sleep(0.01)
        last = f"p{5 * KEPT - 1}"
        recorder.tell(Ref("Pod", last, "default"), CONFIG_REFUSED, "urgent")
        await until(lambda: cluster.events("ConfigRefused"))
        await until(lambda: len(cluster.events()) >= 3)


async def test_what_could_not_be_written_is_written_later(
    cluster: FakeCluster, api: KubeApi, log: Log
) -> None:
    async with recording(api, log) as recorder:
        await cluster.stop()
        recorder.tell(NODE, CONFIG_REFUSED, "bad")
        await until(lambda: "no Events are written" in log)
        recorder.tell(NODE, CONFIG_REFUSED, "worse")
        await cluster.start()
        (event,) = await until(cluster.events)
        await until(lambda: "well again" in log)
    assert (event["message"], event["count"]) == ("worse", 2)
    assert event["metadata"]["namespace"] == "default"


async def test_without_the_right_it_says_so_once_and_goes_on(
    cluster: FakeCluster, api: KubeApi, log: Log
) -> None:
    cluster.forbidden = {("create", "events")}
    async with recording(api, log) as recorder:
        recorder.tell(NODE, CONFIG_REFUSED, "bad")
        await until(lambda: cluster.count("create", "events") >= 3)
        cluster.forbidden = set()
        await until(lambda: "well again" in log)
    assert len(cluster.events()) == 1
    assert log.events == ["no Events are written", "well again"]


async def test_what_every_node_would_say_of_an_edit_is_said_by_one(
    cluster: FakeCluster, api: KubeApi, log: Log
) -> None:
    edit = Ref("ConfigMap", "config", "rota", "uid", edit="7")
    async with recording(api, log) as one, recording(api, log) as other:
        one.tell(edit, CONFIG_REFUSED, "bad")
        other.tell(edit, CONFIG_REFUSED, "bad")
        await until(lambda: cluster.count("create", "events") == 2)
        one.tell(Ref("ConfigMap", "config", "rota", "uid", edit="8"), CONFIG_REFUSED, "bad")
        await until(lambda: len(cluster.events()) == 2)
    assert log.events == []


async def test_a_message_too_long_is_cut(cluster: FakeCluster, api: KubeApi, log: Log) -> None:
    async with recording(api, log) as recorder:
        recorder.tell(NODE, CONFIG_REFUSED, "x" * 5000)
        (event,) = await until(cluster.events)
    assert event["message"].endswith("x…")


def test_the_reference_names_every_reason() -> None:
    assert all(f"`{reason.name}`" in table() for reason in ALL)
