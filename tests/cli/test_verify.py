"""`rota verify` as a process: what it shows, and how it ends when it is ended."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest
from click.testing import CliRunner, Result

from rota.cli.verify import command
from tests.cluster.fake.controllers import Controllers, Paper
from tests.cluster.served import Served
from tests.doctor.build import GPU, agents, config_map, node
from tests.verify.conftest import says


class Cluster:
    """One node on paper, and `rota verify` beside it."""

    def __init__(self, served: Served) -> None:
        self.served, self.store = served, served.fake.store
        self.paper = Paper("gpu-1", {GPU: 4}, says)
        self.store.create("nodes", node())
        self.store.create("daemonsets", agents("--config-map=gpu-operator/time-slicing-config"))
        self.store.create("configmaps", config_map())
        self.running: list[subprocess.Popen[str]] = []
        served.begin(Controllers(served.fake, self.paper).run())

    def verify(self, *args: str) -> Result:
        given = ["--kubeconfig", str(self.served.kubeconfig), "-n", "lab", *args]
        return CliRunner().invoke(command, given, standalone_mode=False)

    def start(self) -> subprocess.Popen[str]:
        args = ["--kubeconfig", str(self.served.kubeconfig), "-n", "lab"]
        process = subprocess.Popen(
            [sys.executable, "-m", "rota", "verify", *args],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        self.running.append(process)
        return process

    @property
    def made(self) -> list[str]:
        things = [*self.store.all("deployments", "lab"), *self.store.all("pods", "lab")]
        return [thing["metadata"]["name"] for thing in things]


@pytest.fixture
def cluster(served: Served) -> Iterator[Cluster]:
    made = Cluster(served)
    yield made
    for process in made.running:
        process.kill()
        process.communicate()


def test_a_table_for_people_and_json_for_machines(cluster: Cluster) -> None:
    shown = cluster.verify()
    assert shown.return_value == 0, shown.output
    assert [line.split("  ")[0] for line in shown.output.splitlines()][:2] == ["NODE", "gpu-1"]
    assert "4/4  waits     1 GPU each, 4 on one, room 3.0 GiB of 16.0 GiB" in shown.output
    assert shown.output.endswith("1 node: as the config says.\n")
    told = json.loads(cluster.verify("-o", "json").output)
    assert told["ok"]
    assert told["left"] == []
    (target,) = told["targets"]
    assert (target["should_offer"], target["offers"], target["ran"]) == (4, 4, 4)
    assert target["pods"][0]["devices"][0]["uuid"] == "GPU-1"
    assert cluster.made == []


def test_what_is_wrong_is_exit_code_1_and_a_sentence(cluster: Cluster) -> None:
    cluster.paper.offers = {GPU: 1}
    status = cluster.store.objects["nodes", "", "gpu-1"]
    cluster.served.until(lambda: cluster.store.get("nodes", "", "gpu-1") is not status)
    shown = cluster.verify("--no-smoke")
    assert shown.return_value == 1
    assert (
        "gpu-1: offers 1 nvidia.com/gpu, and key any of gpu-operator/time-slicing-config makes 4"
        in shown.output
    )


def test_a_cluster_without_gpus_is_no_success(served: Served) -> None:
    served.fake.store.create("daemonsets", agents())
    given = ["--kubeconfig", str(served.kubeconfig)]
    shown = CliRunner().invoke(command, given, standalone_mode=False)
    assert shown.return_value == 1
    assert "no node has GPUs" in shown.output


def test_whoever_ends_it_finds_nothing_left(cluster: Cluster) -> None:
    cluster.paper.waiting = "ContainerCreating"
    process = cluster.start()
    cluster.served.until(lambda: len(cluster.made) == 5)
    process.send_signal(signal.SIGTERM)
    _, said = process.communicate(timeout=30)
    assert process.returncode == 128 + signal.SIGTERM, said
    assert cluster.made == []
    assert "Traceback" not in said


def test_after_a_kill_the_next_run_tells_what_was_left_and_can_remove_it(cluster: Cluster) -> None:
    cluster.paper.waiting = "ContainerCreating"
    process = cluster.start()
    cluster.served.until(lambda: len(cluster.made) == 5)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate(timeout=30)
    shown = cluster.verify("--no-smoke")
    (name,) = [name for name in cluster.made if name.count("-") == 3]
    assert f"left by an earlier run: Deployment lab/{name}, since 20" in shown.output
    assert "rota verify --clean removes it" in shown.output
    assert f"removed Deployment lab/{name}" in cluster.verify("--clean").output
    cluster.served.until(lambda: cluster.made == [])
    assert "nothing was left" in cluster.verify("--clean").output
