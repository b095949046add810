"""A node's figures against what its pods are known to have done, and a real Prometheus that reads them.

Everything is real but the GPU: kubelet (embedded), agent, gatekeeper, programs, and Prometheus.
"""

from __future__ import annotations

import asyncio
import json
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import quote
from urllib.request import urlopen

import pytest

from rota.emulation.inject import inject
from rota.emulation.inventory import EmulatedInventory
from rota.figures.model import ClientFigures, Snapshot, State
from rota.figures.reader import Reader
from rota.kubelet.embedded import PodSpec
from rota.kubelet.embedded.spec import ContainerSpec
from tests.agent.conftest import GPU, PATIENCE, Node, sharing

RULES = Path(__file__).parents[2] / "deploy" / "monitoring" / "rules.yaml"

WORK = """
import time
from rota.emulation import cuda
context = cuda.init().context(0)
for _ in range({kernels} // 2):
    context.launch(0.02)
    context.launch(0.02)
    context.synchronize()
time.sleep(600)
"""
"""A program that keeps the GPU for a known time, in kernels of 20 ms, and then does nothing."""


def worker(name: str, seconds: float) -> PodSpec:
    program = WORK.format(kernels=round(seconds / 0.02))
    container = ContainerSpec("main", (sys.executable, "-c", program), limits={GPU: 1})
    return PodSpec(name, (container,), restart_policy="Never", termination_grace_seconds=1)


async def ready(node: Node, **settings: Any) -> str:
    """An agent that serves; the address of its figures."""
    node.start(sharing(4), listen="127.0.0.1:0", **settings)
    await node.until_allocatable(4)
    return f"http://127.0.0.1:{node.logged('status')[0]['port']}"


async def until_worked(reader: Reader, *names: str) -> Snapshot:
    """Those pods have begun to work, and are idle for two looks."""
    idle, begun = 0, False
    async with asyncio.timeout(60):
        while True:
            snapshot = await asyncio.to_thread(reader.state)
            clients = [one for one in snapshot.clients if one.pod in names and one.processes]
            begun = begun or len(clients) == len(names)
            still = begun and all(
                one.state is State.IDLE and not one.utilization for one in clients
            )
            idle = idle + 1 if still and all(one.gpu_seconds_total > 1 for one in clients) else 0
            if idle == 2:
                return snapshot
            await asyncio.sleep(0.3)


def of(snapshot: Snapshot, pod: str) -> ClientFigures:
    return next(one for one in snapshot.clients if one.pod == pod)


async def test_pods_that_worked_three_seconds_in_turns_show_three_seconds(node: Node) -> None:
    reader = Reader(await ready(node))
    node.kubelet.add_pod(worker("one", 3.0))
    node.kubelet.add_pod(worker("two", 3.0))
    snapshot = await until_worked(reader, "one", "two")
    one, two = of(snapshot, "one"), of(snapshot, "two")
    for client in (one, two):
        assert abs(client.gpu_seconds_total - 3.0) <= 0.1
        assert sum(client.turns.values()) >= 5
        assert client.wait_seconds_total > 0.5
        assert client.gate_close.count >= 5
        assert client.gate_failures_total == 0
        assert client.memory_bytes == 256 << 20
        assert client.share == 0.25
    door = EmulatedInventory(node.folder / "run" / "gpu")
    try:
        busy = sum(door.accounts(snapshot.gpus[0].uuid).values())
    finally:
        door.close()
    assert abs(one.gpu_seconds_total + two.gpu_seconds_total - busy) <= 0.01 * busy
    page = await asyncio.to_thread(reader.turns, 0)
    assert {turn.client for turn in page.turns} == {"default/one/main", "default/two/main"}
    for turn in page.turns:
        assert snapshot.at - 60 < turn.start <= turn.end <= snapshot.at + 60


async def test_the_socket_in_the_agents_folder_tells_the_same_without_an_address(
    node: Node,
) -> None:
    node.start(sharing(4))
    await node.until_allocatable(4)
    path = node.folder / "run" / "figures.sock"
    await node.until(path.exists)
    reader = Reader(node.folder / "run")
    snapshot = await asyncio.to_thread(reader.state)
    assert (snapshot.node, snapshot.emulated, snapshot.gpus[0].replicas) == ("here", True, 4)
    assert snapshot.own.gatekeeper_starts <= 1
    await node.stop()
    assert not path.exists()


def free_port() -> int:
    with socket.socket() as link:
        link.bind(("127.0.0.1", 0))
        return int(link.getsockname()[1])


@contextmanager
def prometheus(folder: Path, target: str) -> Iterator[str]:
    """A Prometheus that scrapes the target all the time; its address."""
    config = {
        "global": {"scrape_interval": "300ms", "evaluation_interval": "500ms"},
        "rule_files": [str(RULES)],
        "scrape_configs": [
            {"job_name": "rota", "honor_labels": True, "static_configs": [{"targets": [target]}]}
        ],
    }
    (folder / "prometheus.yml").write_text(json.dumps(config))
    address = f"127.0.0.1:{free_port()}"
    process = subprocess.Popen(
        ["prometheus", f"--config.file={folder / 'prometheus.yml'}",
         f"--storage.tsdb.path={folder / 'prometheus'}", f"--web.listen-address={address}"],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        yield f"http://{address}"
    finally:
        process.kill()
        process.wait()


async def ask(address: str, query: str) -> list[dict[str, Any]]:
    """The answer to an instant query; nothing while Prometheus is not up."""
    url = f"{address}/api/v1/query?query={quote(query)}"
    with suppress(OSError):
        with await asyncio.to_thread(urlopen, url, timeout=PATIENCE) as answer:
            found: list[dict[str, Any]] = json.load(answer)["data"]["result"]
        return found
    return []


async def until_told(address: str, query: str) -> list[dict[str, Any]]:
    """The answer as soon as there is one."""
    async with asyncio.timeout(60):
        while not (found := await ask(address, query)):
            await asyncio.sleep(0.2)
    return found


@pytest.mark.skipif(shutil.which("prometheus") is None, reason="needs prometheus (apt)")
async def test_a_real_prometheus_reads_figures_and_raises_alerts(node: Node) -> None:
    target = await ready(node, dcgm_names=True)
    pod = worker("one", 1.2)
    node.kubelet.add_pod(replace(pod, namespace="team-a"))
    with prometheus(node.folder, target.removeprefix("http://")) as address:
        (series,) = await until_told(address, 'rota_gpu_seconds_total{pod="one"} > 1.1')
        labels = series["metric"]
        assert (labels["namespace"], labels["container"]) == ("team-a", "main")
        assert labels["client"] == "team-a/one/main"
        assert float(series["value"][1]) == pytest.approx(1.2, abs=0.1)
        (up,) = await until_told(address, 'up{job="rota"} == 1')
        assert up["metric"]["job"] == "rota"
        assert await until_told(address, 'DCGM_FI_DEV_FB_USED{pod="one"} == 256')
        inject(node.folder / "run" / "gpu", "0", xid=79)
        (alert,) = await until_told(address, 'ALERTS{alertname="RotaGpuUnhealthy"}')
        assert alert["metric"]["gpu"] == "0"
        assert await until_told(address, 'rota_gpu_xids_total{xid="79"} == 1')
        await node.kubelet.delete_pod("team-a", "one")
        await until_told(address, 'absent(rota_gpu_seconds_total{pod="one"})')
