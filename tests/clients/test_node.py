"""A whole node without a real GPU: who is who, from the driver's pids to the clients."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import sys
import tempfile
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import structlog

from rota.clients.picture import LocalJob, Picture, ProcessKey, Why
from rota.clients.sightings import Place, Sightings
from rota.clients.watch import ClientWatch
from rota.config.load import load_text
from rota.emulation import driver
from rota.emulation.inventory import EmulatedInventory
from rota.emulation.profiles import parse_emulation
from rota.gpu.processes import started
from rota.kubelet.embedded import ContainerSpec, EmbeddedKubelet, PodSpec
from rota.kubelet.manager import PluginManager
from rota.kubelet.pod_resources import list_pods
from rota.model import Replica
from rota.replicas.plan import plan

PATIENCE = 40.0
GPU = "nvidia.com/gpu"
CONFIG = f"""
version: v1
sharing:
  timeSlicing:
    resources:
    - name: {GPU}
      replicas: 4
"""
TRAIN = (sys.executable, "-m", "rota.emulation.workloads", "notebook")
HIDING = "(env -i ROTA_EMULATED_GPU=$ROTA_EMULATED_GPU setsid {train} &); exec {train}"
"""Its child leaves its parent, its session and its environment."""


@dataclass
class Node:
    """Kubelet, plugin, emulated GPU and the watch over it."""

    kubelet: EmbeddedKubelet
    environment: dict[str, str]
    gpu: str
    watch: ClientWatch
    jobs: list[LocalJob]
    told: list[Picture] = field(default_factory=list)

    async def until(self, condition: Callable[[Picture], Any]) -> Picture:
        async with asyncio.timeout(PATIENCE):
            while not condition(self.watch.picture):
                await asyncio.sleep(0.01)
        return self.watch.picture


@pytest.fixture
async def node() -> AsyncIterator[Node]:
    async with contextlib.AsyncExitStack() as stack:
        folder = Path(tempfile.mkdtemp(prefix="rota", dir="/tmp"))
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        inventory = parse_emulation("t4")
        emulation = driver.start(inventory, folder / "gpu")
        stack.callback(emulation.stop)
        door = EmulatedInventory(folder / "gpu")
        stack.callback(door.close)
        kubelet = await stack.enter_async_context(EmbeddedKubelet(folder / "node"))
        plugins = kubelet.plugin_socket.parent
        manager = PluginManager(
            plugins, extra_env=emulation.environment, log=structlog.get_logger()
        )
        stack.push_async_callback(manager.stop)
        loaded = load_text(CONFIG, "config.yaml")
        planned = plan(loaded.config, inventory, file="config.yaml")
        await manager.serve(planned.resources, loaded.config, inventory)
        await kubelet.wait_until(lambda: kubelet.allocatable().get(GPU) == 4, PATIENCE)
        yield await _watched(stack, kubelet, emulation, door, inventory.gpus[0].uuid)


async def _watched(
    stack: contextlib.AsyncExitStack,
    kubelet: EmbeddedKubelet,
    emulation: driver.Emulation,
    door: EmulatedInventory,
    gpu: str,
) -> Node:
    place = Place.of(kubelet.plugin_socket.parent)
    assert place.marks
    assert place.pod_resources
    jobs: list[LocalJob] = []
    told: list[Picture] = []
    watch = ClientWatch(
        Sightings(door, (gpu,), place),
        told.append,
        structlog.get_logger(),
        lister=partial(list_pods, place.pod_resources),
        jobs=lambda: jobs,
    )
    task = asyncio.create_task(watch.run())

    async def end() -> None:
        task.cancel()
        await asyncio.wait([task])

    stack.push_async_callback(end)
    return Node(kubelet, dict(emulation.environment), gpu, watch, jobs, told)


def pod(name: str, *containers: ContainerSpec) -> PodSpec:
    return PodSpec(name, containers, restart_policy="Never", termination_grace_seconds=1)


async def test_who_is_who_on_a_node(node: Node) -> None:
    """Pods with one container, with two, with hiding children, without replicas; a job; nobody."""
    one = {GPU: 1}
    hiding = ("sh", "-c", HIDING.format(train=" ".join(TRAIN)))
    node.kubelet.add_pod(pod("hide", ContainerSpec("main", hiding, limits={GPU: 2})))
    node.kubelet.add_pod(
        pod(
            "pair",
            ContainerSpec("left", TRAIN, limits=one),
            ContainerSpec("right", TRAIN, limits=one),
        )
    )
    sly = {**node.environment, "NVIDIA_VISIBLE_DEVICES": "all"}
    node.kubelet.add_pod(pod("sly", ContainerSpec("main", TRAIN, env=sly)))
    job = await _job(node)
    try:
        picture = await node.until(lambda p: _processes(p) == EXPECTED and _quiet(p))
    finally:
        job.kill()
        await job.wait()
    assert _labels(picture) == LABELS
    (other,) = picture.unmanaged
    assert other.why is Why.NO_REPLICA
    assert other.labels == (("namespace", "default"), ("pod", "sly"), ("container", "main"))
    statuses = {status.name: status for status in node.kubelet.pods()}
    for client in picture.clients[:3]:
        _, name, container = client.client.split("/")
        status = statuses[name].container(container)
        assert {replica.id for replica in client.replicas} == set(status.devices[GPU])
        assert status.pid in {process.pid for process in client.processes}
    await _ends(node)


EXPECTED = {
    "default/hide/main": 2,
    "default/pair/left": 1,
    "default/pair/right": 1,
    "job/night": 1,
}
LABELS = {
    "default/hide/main": {"namespace": "default", "pod": "hide", "container": "main"},
    "default/pair/left": {"namespace": "default", "pod": "pair", "container": "left"},
    "default/pair/right": {"namespace": "default", "pod": "pair", "container": "right"},
    "job/night": {"job": "night", "user": "ann"},
}


def _processes(picture: Picture) -> dict[str, int]:
    return {client.client: len(client.processes) for client in picture.clients}


def _quiet(picture: Picture) -> bool:
    return len(picture.unmanaged) == 1 and not picture.unmanaged[0].pending


def _labels(picture: Picture) -> dict[str, dict[str, str]]:
    return {client.client: dict(client.labels) for client in picture.clients}


async def _job(node: Node) -> asyncio.subprocess.Process:
    """A program of nobody, which is then a local job."""
    process = await asyncio.create_subprocess_exec(
        *TRAIN, env={**os.environ, **node.environment}, stdout=asyncio.subprocess.DEVNULL
    )
    root = ProcessKey(process.pid, started(process.pid) or 0)
    node.jobs.append(LocalJob("night", "ann", os.geteuid(), root, (Replica(node.gpu, 9),)))
    return process


async def _ends(node: Node) -> None:
    """Pods and processes that end are in the next picture no more."""
    node.jobs.clear()
    await node.kubelet.delete_pod("default", "pair", grace=0)
    node.watch.wake()
    await node.until(lambda p: _processes(p) == {"default/hide/main": 2})
    await node.kubelet.restart()
    node.watch.wake()
    await node.kubelet.delete_pod("default", "hide", grace=0)
    node.watch.wake()
    await node.until(lambda p: _processes(p) == {})
