"""What is answered where, asked over real sockets."""

from __future__ import annotations

import json
import os

from rota.clients.picture import Picture
from rota.figures.model import Snapshot, TurnPage
from rota.figures.wire import from_plain
from rota.scheduling.log import Turn
from rota.scheduling.terms import Why
from tests.figures.stand_ins import UUID, pod, told
from tests.web.conftest import Site


async def test_it_lives_before_it_is_ready(site: Site) -> None:
    site.open()
    site.status["ready"] = False
    assert (await site.get("/healthz")).text == "ok\n"
    assert (await site.get("/readyz")).status == 503
    site.status["ready"] = True
    assert (await site.get("/readyz")).text == "ready\n"


async def test_the_state_is_the_snapshot_as_json(site: Site) -> None:
    site.open()
    site.node.picture = Picture((pod("a", os.getpid()),))
    answer = await site.get("/api/v1/state")
    snapshot = from_plain(Snapshot, answer.json)
    assert [one.client for one in snapshot.clients] == ["default/a/main"]
    assert snapshot.clients[0].processes[0].command
    assert answer.headers["content-type"].startswith("application/json")
    assert answer.headers["cache-control"] == "no-store"


async def test_turns_come_page_by_page(site: Site) -> None:
    site.open()
    site.node.log = [
        Turn("a", UUID, n + 0.0, n + 0.1, Why.YIELDED, 0.0, 0.0, 0.1) for n in range(3)
    ]
    page = from_plain(TurnPage, (await site.get("/api/v1/turns?since=1")).json)
    assert [each.number for each in page.turns] == [1, 2]
    assert (await site.get(f"/api/v1/turns?since={page.next}")).json["turns"] == []


async def test_metrics_are_told_and_who_is_gone_goes_after_one_scrape(site: Site) -> None:
    site.open()
    site.node.picture = Picture((pod("a", 7),))
    site.node.clients = {"default/a/main": told()}
    assert 'pod="a"' in (await site.get("/metrics")).text
    site.node.picture, site.node.clients = Picture(), {}
    await site.collector.fresh(0.0)
    assert 'pod="a"' in (await site.get("/metrics")).text
    assert 'pod="a"' not in (await site.get("/metrics")).text


async def test_the_status_is_as_it_was(site: Site) -> None:
    site.open()
    assert (await site.get("/api/v1/status?pretty")).json == site.status


async def test_the_description_names_every_path_and_every_field(site: Site) -> None:
    site.open()
    text = (await site.get("/api/v1/openapi.json")).text
    document = json.loads(text)
    assert document["openapi"].startswith("3.1")
    for path in document["paths"]:
        if "stream" not in path:
            assert (await site.get(path)).status == 200, path
    state = (await site.get("/api/v1/state")).json
    assert set(document["components"]["schemas"]["Snapshot"]["properties"]) == set(state)
    client = document["components"]["schemas"]["ClientFigures"]["properties"]
    assert client["memory_limit_bytes"]["anyOf"] == [{"type": "integer"}, {"type": "null"}]
    assert "hold" in client["replicas"]["description"]


async def test_an_unknown_path_is_told_where_the_known_ones_are(site: Site) -> None:
    site.open()
    answer = await site.get("/metric")
    assert (answer.status, answer.json) == (
        404,
        {"error": "no such path; see / for those that there are"},
    )


async def test_a_number_that_is_none_is_refused(site: Site) -> None:
    site.open()
    for since in ("-1", "x", "1e3", "9" * 40, "%D9%A3"):
        assert (await site.get(f"/api/v1/turns?since={since}")).status == 400


async def test_nothing_can_be_changed(site: Site) -> None:
    site.open()
    for path in ("/", "/metrics", "/api/v1/state"):
        answer = await site.get(path)
        assert answer.status == 200
        assert "default-src 'none'" in answer.headers["content-security-policy"]
        assert "unsafe" not in answer.headers["content-security-policy"]
        assert answer.headers["x-content-type-options"] == "nosniff"
