"""The API over HTTP: what each call sends, and what becomes of each answer."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from rota.cluster.door import (
    CONFIG_MAPS,
    EVENTS,
    LEASES,
    NODES,
    PODS,
    Away,
    ClusterError,
    Conflict,
    Forbidden,
    Gone,
    NotFound,
    View,
    labels_of,
    metadata,
)
from rota.cluster.kube import LONGEST_LINE, KubeApi, lines
from tests.cluster.conftest import config_map, pod
from tests.cluster.fake import FakeCluster


async def test_an_object_is_made_read_changed_replaced_and_deleted(api: KubeApi) -> None:
    made = await api.create(CONFIG_MAPS, config_map(a="1"), "rota")
    assert (await api.get(CONFIG_MAPS, "config", "rota"))["data"] == {"a": "1"}
    merged = await api.merge(CONFIG_MAPS, {"data": {"a": None, "b": "2"}}, "config", "rota")
    assert merged["data"] == {"b": "2"}
    with pytest.raises(Conflict, match="has been modified"):
        await api.replace(CONFIG_MAPS, {**made, "data": {}}, "config", "rota")
    await api.replace(CONFIG_MAPS, {**merged, "data": {}}, "config", "rota")
    with pytest.raises(Conflict, match="UID"):
        await api.delete(CONFIG_MAPS, "config", "rota", uid="another")
    await api.delete(CONFIG_MAPS, "config", "rota", uid=metadata(made)["uid"])
    with pytest.raises(NotFound):
        await api.get(CONFIG_MAPS, "config", "rota")


async def test_a_pod_is_evicted_if_it_still_is_that_one(cluster: FakeCluster, api: KubeApi) -> None:
    made = cluster.store.create("pods", {"metadata": {"namespace": "default", "name": "p"}})
    with pytest.raises(Conflict, match="UID"):
        await api.evict("p", "default", uid="another")
    await api.evict("p", "default", uid=metadata(made)["uid"])
    assert metadata(await api.get(PODS, "p", "default"))["deletionTimestamp"]
    with pytest.raises(NotFound):
        await api.evict("q", "default")


async def test_what_is_there_is_not_made_twice(api: KubeApi) -> None:
    await api.create(CONFIG_MAPS, config_map(), "rota")
    with pytest.raises(Conflict, match="already exists"):
        await api.create(CONFIG_MAPS, config_map(), "rota")


async def test_an_apply_names_the_fields_of_others(cluster: FakeCluster, api: KubeApi) -> None:
    cluster.store.create("nodes", {"metadata": {"name": "n", "labels": {"a": "theirs"}}}, "gfd")
    body = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n", "labels": {"a": "x"}}}
    with pytest.raises(Conflict) as refused:
        await api.apply(NODES, body, "n", "rota")
    assert refused.value.fields == (".metadata.labels.a",)
    same = {**body, "metadata": {"name": "n", "labels": {"a": "theirs", "b": "ours"}}}
    assert labels_of(await api.apply(NODES, same, "n", "rota")) == {"a": "theirs", "b": "ours"}


async def test_a_version_that_is_forgotten_is_gone(cluster: FakeCluster, api: KubeApi) -> None:
    cluster.store.create("pods", pod("a"))
    cluster.store.forget()
    changes = api.watch(View(PODS), "1", 10)
    assert (await anext(changes)).what == "BOOKMARK"
    with pytest.raises(Gone):
        await anext(changes)


@pytest.mark.parametrize(("code", "kind"), [(401, Away), (429, Away), (500, Away), (503, Away)])
async def test_what_may_pass_is_away(
    cluster: FakeCluster, api: KubeApi, code: int, kind: type[ClusterError]
) -> None:
    cluster.failing = code
    with pytest.raises(kind):
        await api.list(View(PODS))


async def test_what_is_refused_is_told_in_the_servers_words(
    cluster: FakeCluster, api: KubeApi
) -> None:
    cluster.forbidden = {("create", "events")}
    with pytest.raises(Forbidden, match='cannot create resource "events"'):
        await api.create(EVENTS, {"metadata": {"name": "e"}}, "default")


async def test_an_answer_that_does_not_come_is_not_waited_for_without_end(
    cluster: FakeCluster, api: KubeApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rota.cluster.kube.ANSWER", 0.1)
    impatient = KubeApi.connect()
    cluster.delay = 30.0
    with pytest.raises(Away, match="no answer in time"):
        await impatient.list(View(PODS))
    await impatient.close()


async def test_nobody_there_is_away(cluster: FakeCluster, api: KubeApi) -> None:
    await cluster.stop()
    with pytest.raises(Away, match="cannot be reached"):
        await api.get(LEASES, "x", "rota")


async def test_without_credentials_it_says_what_to_do(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "none"))
    with pytest.raises(ClusterError, match="KUBECONFIG"):
        KubeApi.connect()


async def chunks(*parts: bytes) -> AsyncIterator[bytes]:
    for part in parts:
        yield part


async def test_only_a_line_feed_ends_a_line() -> None:
    text = '{"a": "x\u2028y\u0085z\\r"}\n{"b"'.encode()
    found = [line async for line in lines(chunks(text[:9], text[9:], b": 1}\n\n"))]
    assert found == [text[: text.index(b"\n")], b'{"b": 1}', b""]


async def test_a_line_without_an_end_is_not_collected_for_ever() -> None:
    with pytest.raises(Away, match="unreasonable"):
        async for _ in lines(chunks(*[b"x" * (1 << 20)] * (LONGEST_LINE // (1 << 20) + 1))):
            pass
