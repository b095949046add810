"""A person's way to a cluster: its options, and what becomes of its failures."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from rota.cli.cluster_client import Access, access_options, ask
from rota.cluster.door import NODES, PODS, Api, Away, ClusterError, Forbidden, View, metadata
from tests.cluster.served import Served


def test_the_options_become_one_argument() -> None:
    @click.command()
    @click.option("--other", default="")
    @access_options("Where.")
    def command(access: Access, other: str) -> None:
        """Say what was given."""
        click.echo(f"{access} {other}")

    args = [
        "--kubeconfig",
        "k",
        "--context",
        "c",
        "-n",
        "team",
        "--request-timeout",
        "2s",
        "--other",
        "x",
    ]
    said = CliRunner().invoke(command, args).output
    assert said == f"{Access('k', 'c', 'team', 2.0)} x\n"
    assert Access("k", "c").flags == " --kubeconfig k --context c"


def test_the_cluster_is_asked_and_told_in_the_servers_words(served: Served) -> None:
    served.fake.store.create("nodes", {"metadata": {"name": "n1"}})

    async def names(api: Api) -> list[str]:
        return [metadata(node)["name"] for node in (await api.list(View(NODES))).items]

    assert ask(served.access, names) == ["n1"]
    served.fake.forbidden.add(("list", "nodes"))
    with pytest.raises(Forbidden, match="cannot list") as told:
        ask(served.access, names)
    assert "ask whoever runs the cluster" in told.value.hint


def test_a_slow_and_an_absent_server_are_told_with_what_to_look_at(
    served: Served, tmp_path: Path
) -> None:
    async def nodes(api: Api) -> None:
        await api.list(View(NODES))

    served.fake.delay = 30.0
    slow = Access(served.access.kubeconfig, timeout=0.2)
    with pytest.raises(Away, match="no answer in time") as told:
        ask(slow, nodes)
    assert f"kubectl --kubeconfig {slow.kubeconfig} get --raw /readyz" in told.value.hint
    served.stop()
    with pytest.raises(Away, match="cannot be reached"):
        ask(slow, nodes)
    with pytest.raises(ClusterError, match="no way to the Kubernetes API"):
        ask(Access(str(tmp_path / "none")), nodes)


def test_a_long_list_comes_in_pages(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rota.cluster.kube.PAGE", 2)
    for number in range(5):
        labels = {"app": "x" if number else "y"}
        meta = {"name": f"p{number}", "namespace": "a", "labels": labels}
        served.fake.store.create("pods", {"metadata": meta})

    async def pods(api: Api) -> list[str]:
        listing = await api.list(View(PODS, labels="app=x"), fresh=True)
        return [metadata(pod)["name"] for pod in listing.items]

    assert ask(served.access, pods) == ["p1", "p2", "p3", "p4"]
    assert served.fake.count("list", "pods") == 2


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_lets_it_clean_up(served: Served, number: signal.Signals) -> None:
    cleaned = []

    async def long(api: Api) -> None:
        try:
            os.kill(os.getpid(), number)
            await asyncio.sleep(30)
        finally:
            await api.list(View(NODES))
            cleaned.append(True)

    with pytest.raises(SystemExit) as ended:
        ask(served.access, long)
    assert ended.value.code == 128 + number
    assert cleaned
