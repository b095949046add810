"""Whether an agent grows while pods come and go: `python bench/cluster.py [--pods N] [--out FILE]`.

The agent is the real one, in a process of its own, with an emulated T4 and an embedded kubelet; the
Kubernetes API is the tests' one, over real HTTP, in this process. A hundred pods live at a time;
each comes, changes twice, is marked as deleted and goes; half of them have annotations, one in fifty
a bad one. The agent asks at the pace that it has on a node.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import shutil
import socket
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any
from urllib.request import urlopen

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from bench import machine, proc
from bench.cluster_times import config, deletions, edits
from rota.kubelet.embedded import EmbeddedKubelet
from tests.cluster.fake import FakeCluster, Store

ALIVE = 100
STEPS = 20


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.socket() as link:
        link.bind(("127.0.0.1", 0))
        return int(link.getsockname()[1])


PORT = free_port()
TRIES = 20
"""Edits and deletions that are timed."""


@dataclass(frozen=True)
class Point:
    """How the agent fares after so many pods."""

    pods: int
    rss_mb: float
    cpu_seconds: float
    seconds: float


def main() -> None:
    """Measure, and print or keep the table."""
    options = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    options.add_argument("--pods", type=int, default=100_000)
    options.add_argument("--out", type=Path, metavar="FILE", help="write the page there")
    given = options.parse_args()
    page = asyncio.run(_measured(given.pods))
    if given.out:
        given.out.write_text(page)
    print(page, end="")


async def _measured(pods: int) -> str:
    folder = Path(tempfile.mkdtemp(prefix="rotabench"))
    cluster = FakeCluster(Store(history=2000))
    kubelet = EmbeddedKubelet(folder / "node")
    await cluster.start()
    await kubelet.start()
    try:
        _begin(cluster)
        async with _agent(folder, cluster, kubelet) as pid:
            points = await _churn(cluster, pid, pods)
            for name in [one["metadata"]["name"] for one in cluster.store.all("pods")]:
                cluster.store.delete("pods", "default", name)
            asked = Counter(f"{one.verb} {one.plural}" for one in cluster.asked)
            times = (
                await edits(cluster, kubelet, TRIES),
                await deletions(cluster, kubelet, folder / "run", TRIES),
            )
        return _page(points, asked, times)
    finally:
        await kubelet.stop()
        await cluster.stop()
        shutil.rmtree(folder, ignore_errors=True)


def _begin(cluster: FakeCluster) -> None:
    cluster.store.create("nodes", {"metadata": {"name": "here"}})
    meta = {"namespace": "rota", "name": "config"}
    cluster.store.create("configmaps", {"metadata": meta, "data": {"any": config(4)}})


@asynccontextmanager
async def _agent(
    folder: Path, cluster: FakeCluster, kubelet: EmbeddedKubelet
) -> AsyncIterator[int]:
    kubeconfig = cluster.kubeconfig(folder / "kubeconfig")
    log = folder / "log"
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "rota", "agent", "--config-map", "rota/config", "--node", "here"),
        *("--emulate", "t4", "--kubelet-dir", str(kubelet.plugin_socket.parent)),
        *("--run-dir", str(folder / "run"), "--listen", f"127.0.0.1:{PORT}"),
        env=os.environ | {"KUBECONFIG": str(kubeconfig)},
        stderr=log.open("wb"),
    )
    try:
        await kubelet.wait_until(lambda: kubelet.allocatable().get("nvidia.com/gpu") == 4, 30)
        yield process.pid
    finally:
        process.terminate()
        await process.wait()
    assert "fault; starting again" not in log.read_text(), log.read_text()


async def _churn(cluster: FakeCluster, pid: int, pods: int) -> list[Point]:
    alive: list[str] = []
    points = [await _point(cluster, pid, 0, 0)]
    for number in range(1, pods + 1):
        name = f"pod-{number}"
        _come(cluster, name, number)
        alive.append(name)
        if len(alive) > ALIVE:
            _go(cluster, alive.pop(0))
        if number % 20 == 0:
            await asyncio.sleep(0)
        if number % 1000 == 0:
            await _caught_up(len(alive))
        if number % max(1, pods // STEPS) == 0:
            points.append(await _point(cluster, pid, number, len(alive)))
            print(points[-1], file=sys.stderr)
    return points


def _come(cluster: FakeCluster, name: str, number: int) -> None:
    given = {"rota.dev/weight": str(1 + number % 5)} if number % 2 else {}
    if number % 50 == 0:
        given = {"rota.dev/weight": f"heavy-{number}"}
    meta = {"namespace": "default", "name": name, "annotations": given, "labels": {"app": "a"}}
    spec = {"nodeName": "here", "containers": [{"name": "main", "image": "x" * 50}]}
    cluster.store.create("pods", {"metadata": meta, "spec": spec})
    for phase in ("Pending", "Running"):
        cluster.store.merge("pods", "default", name, {"status": {"phase": phase}}, "kubelet")


def _go(cluster: FakeCluster, name: str) -> None:
    mark = {"metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z"}}
    cluster.store.merge("pods", "default", name, mark, "kubectl")
    cluster.store.delete("pods", "default", name)


async def _caught_up(alive: int) -> dict[str, Any]:
    """Until the agent knows as many pods as there are."""
    async with asyncio.timeout(60):
        while True:
            state = await asyncio.to_thread(_status)
            if state["cluster"]["pods"] == alive:
                return state
            await asyncio.sleep(0.02)


def _status() -> dict[str, Any]:
    with urlopen(f"http://127.0.0.1:{PORT}/api/v1/status", timeout=10) as answer:
        found = json.load(answer)
    assert isinstance(found, dict)
    return found


BEGUN = time.monotonic()


async def _point(cluster: FakeCluster, pid: int, pods: int, alive: int) -> Point:
    await _caught_up(alive)
    used = proc.seconds(proc.spent(pid))
    return Point(pods, proc.memory(pid)[0], used, time.monotonic() - BEGUN)


def _page(
    points: list[Point],
    asked: Counter[str],
    times: tuple[list[float], list[float]],
) -> str:
    first, last = points[1], points[-1]
    took = last.seconds - points[0].seconds
    lines = [
        "# An agent while pods come and go",
        "",
        machine.sentence(machine.describe()) + f"; load {machine.load()}",
        "",
        f"`python bench/cluster.py --pods {last.pods}`: {ALIVE} pods at a time, {took:.0f} s.",
        "",
        "| pods come and gone | RSS of the agent | processor time so far |",
        "| --- | --- | --- |",
        *(f"| {p.pods:,} | {p.rss_mb:.1f} MB | {p.cpu_seconds:.1f} s |" for p in points),
        "",
        f"From {first.pods:,} to {last.pods:,} pods: {last.rss_mb - first.rss_mb:+.1f} MB, "
        f"{1e6 * (last.cpu_seconds - first.cpu_seconds) / (last.pods - first.pods):.0f} µs of "
        "processor time a pod.",
        "",
        f"From an edit of the ConfigMap to the kubelet's allocatable: {_spread(times[0])}. From the "
        f"mark on a pod whose gate is closed to its gate being open: {_spread(times[1])}.",
        "",
        f"Requests of the agent in {took:.0f} s: "
        + ", ".join(f"{count} × {what}" for what, count in sorted(asked.items()))
        + ".",
        "",
    ]
    return "\n".join(lines)


def _spread(seconds: list[float]) -> str:
    least, middle, most = (1000 * f(seconds) for f in (min, median, max))
    return f"{least:.0f} / {middle:.0f} / {most:.0f} ms (least, median, most of {len(seconds)})"


if __name__ == "__main__":
    main()
