"""`rota top --node`: the agent of a node, asked through the API server."""

from __future__ import annotations

import json
from typing import Any

import pytest
from click.testing import CliRunner

from rota.cli.node_reader import NodeReader, NoNodeAgent
from rota.cli.top import command
from rota.cluster.door import Forbidden
from rota.figures.model import Snapshot
from rota.figures.wire import to_plain
from tests.cluster.fake.store import Problem
from tests.cluster.served import Served
from tests.doctor.build import agent
from tests.top import scenes


class Asked:
    """The agent behind the proxy: what it was asked for, and what it answers."""

    def __init__(self, served: Served, *args: str) -> None:
        self.paths: list[str] = []
        self.snapshot: Snapshot = scenes.node(scenes.pod("train-0"))
        self.refuses: Problem | None = None
        served.fake.store.create("pods", agent("gpu-1", *args))
        served.fake.store.create("pods", agent("gpu-2", *args))
        served.fake.parts["pods/proxy"] = self._answer
        self.reader = NodeReader(served.access, "gpu-1")

    async def _answer(self, namespace: str, name: str, rest: str) -> bytes:
        self.paths.append(f"{namespace}/{name}/{rest}")
        if self.refuses:
            raise self.refuses
        return json.dumps(to_plain(self.snapshot)).encode()


@pytest.fixture
def proxied(served: Served, monkeypatch: pytest.MonkeyPatch) -> Served:
    """The proxy names a pod with its port: the fake finds it without."""
    get = served.fake.store.get

    def by_name(plural: str, namespace: str, name: str) -> Any:
        bare = [part for part in name.split(":") if part.startswith("rota-")]
        return get(plural, namespace, bare[0] if bare else name)

    monkeypatch.setattr(served.fake.store, "get", by_name)
    return served


def test_the_nodes_agent_is_found_and_asked(proxied: Served) -> None:
    asked = Asked(proxied, "--listen", "0.0.0.0:9400")
    assert asked.reader.state() == asked.snapshot
    assert asked.paths == ["rota/rota-gpu-1:9400/api/v1/state"]
    stream = asked.reader.follow()
    assert next(stream) == asked.snapshot
    assert next(stream) == asked.snapshot
    stream.close()  # type: ignore[attr-defined]


def test_https_is_said_to_the_proxy(proxied: Served) -> None:
    asked = Asked(proxied, "--listen=:9443", "--tls-cert", "c", "--tls-key", "k")
    asked.reader.state()
    assert asked.paths == ["rota/https:rota-gpu-1:9443/api/v1/state"]


def test_rota_top_shows_it(proxied: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rota.cli.top.SETTLE", 0.0)
    asked = Asked(proxied, "--listen", "0.0.0.0:9400")
    args = ["--kubeconfig", str(proxied.kubeconfig), "--node", "gpu-1", "--once"]
    shown = CliRunner(env={"COLUMNS": "100"}).invoke(command, args, standalone_mode=False)
    assert asked.snapshot.clients[0].pod in shown.output


@pytest.mark.parametrize(
    ("args", "node", "says"),
    [
        ((), "gpu-1", "its agent tells nothing over HTTP"),
        (("--listen", "127.0.0.1:9400"), "gpu-1", "its agent tells nothing over HTTP"),
        (("--listen", ":9400"), "gpu-9", "no agent of Rota runs on that node"),
    ],
)
def test_why_nobody_can_be_asked(
    proxied: Served, args: tuple[str, ...], node: str, says: str
) -> None:
    Asked(proxied, *args)
    with pytest.raises(NoNodeAgent, match=says):
        NodeReader(proxied.access, node).state()


def test_an_agent_that_wants_a_token_says_so(proxied: Served) -> None:
    asked = Asked(proxied, "--listen", ":9400")
    asked.refuses = Problem(401, "a bearer token is needed")
    with pytest.raises(NoNodeAgent, match="wants a token") as told:
        asked.reader.state()
    assert "--agent URL" in told.value.hint


def test_a_right_that_is_missing_is_told(proxied: Served) -> None:
    asked = Asked(proxied, "--listen", ":9400")
    proxied.fake.forbidden = {("get", "pods/proxy")}
    with pytest.raises(Forbidden, match="pods/proxy"):
        asked.reader.state()
