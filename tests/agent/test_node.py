"""What the agent does on a node, seen from the kubelet's side."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest

from rota.agent.claims import is_claimed
from rota.agent.config import ConfigRefused
from rota.agent.logs import make_logger
from rota.agent.node import NodeAgent
from rota.emulation.link import Link
from rota.errors import GpuError, RotaError
from tests.agent.conftest import GPU, PATIENCE, Node, sharing, sleeper


async def test_one_gpu_becomes_four(node: Node) -> None:
    node.start(sharing(4))
    await node.until_allocatable(4)


async def test_without_a_config_a_gpu_is_whole(node: Node) -> None:
    node.start(config=None)
    await node.until_allocatable(1)


async def test_four_pods_run_and_a_fifth_starts_when_one_ends(node: Node) -> None:
    node.start(sharing(4))
    await node.until_allocatable(4)
    for number in range(5):
        node.kubelet.add_pod(sleeper(f"pod-{number}"))
    await node.until(lambda: node.kubelet.pod("default", "pod-3").phase == "Running")
    await node.until(lambda: node.kubelet.pod("default", "pod-4").reason == "Unschedulable")
    held = {node.kubelet.pod("default", f"pod-{n}").container().devices[GPU] for n in range(4)}
    assert len(held) == 4
    await node.kubelet.delete_pod("default", "pod-1")
    await node.until(lambda: node.kubelet.pod("default", "pod-4").phase == "Running")


async def test_a_good_edit_is_served_and_a_bad_one_refused(node: Node) -> None:
    agent = node.start(sharing(4))
    await node.until_allocatable(4)
    node.config.write_text(sharing(6))
    await node.until_allocatable(6)
    node.config.write_text(sharing(1))
    await node.until(lambda: agent.snapshot()["config"]["refused"] == 1)
    assert node.kubelet.allocatable()[GPU] == 6
    assert "replicas must be >= 2" in agent.snapshot()["config"]["refused_now"]
    refusals = node.logged("config refused; the last good one stays")
    assert [entry["refused"] for entry in refusals] == [1]
    node.config.write_text(sharing(3))
    await node.until_allocatable(3)
    assert agent.snapshot()["config"]["refused_now"] == ""


async def test_a_config_that_goes_away_is_refused_too(node: Node) -> None:
    agent = node.start(sharing(4))
    await node.until_allocatable(4)
    node.config.unlink()
    await node.until(lambda: agent.snapshot()["config"]["refused"] == 1)
    assert node.kubelet.allocatable()[GPU] == 4


async def test_a_mounted_configmap_is_followed(node: Node) -> None:
    mounted = node.folder / "mounted"
    for version, count in (("..one", 4), ("..two", 5)):
        (mounted / version).mkdir(parents=True)
        (mounted / version / "any").write_text(sharing(count))
    (mounted / "..data").symlink_to("..one")
    (mounted / "any").symlink_to("..data/any")
    node.start(config=mounted)
    await node.until_allocatable(4)
    (mounted / "..data_tmp").symlink_to("..two")
    (mounted / "..data_tmp").rename(mounted / "..data")
    await node.until_allocatable(5)


async def test_a_shrink_hurts_no_pod_and_an_edit_drops_no_stream(node: Node) -> None:
    node.start(sharing(4))
    await node.until_allocatable(4)
    for number in range(4):
        node.kubelet.add_pod(sleeper(f"pod-{number}"))
    pods = await node.until(lambda: _running(node, 4))
    registered = len([e for e in node.kubelet.events if e.reason == "Registered"])
    node.config.write_text(sharing(2))
    await node.until_allocatable(2)
    assert node.kubelet.capacity()[GPU] == 4
    assert _running(node, 4) == pods
    node.config.write_text(sharing(4))
    await node.until_allocatable(4)
    assert _running(node, 4) == pods
    assert len([e for e in node.kubelet.events if e.reason == "Registered"]) == registered


def _running(node: Node, count: int) -> dict[str, int | None]:
    pods = node.kubelet.pods()
    found = {pod.name: pod.container().pid for pod in pods if pod.phase == "Running"}
    return found if len(found) == count else {}


async def test_replicas_that_were_drained_go_when_their_pods_have_ended(
    node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rota.kubelet.holders.GRACE", 0.5)
    monkeypatch.setattr("rota.kubelet.manager.DRAIN_LOOK", 0.1)
    node.start(sharing(4))
    await node.until_allocatable(4)
    for number in range(4):
        node.kubelet.add_pod(sleeper(f"pod-{number}"))
    await node.until(lambda: _running(node, 4))
    node.config.write_text(sharing(2))
    await node.until_allocatable(2)
    for number in range(4):
        await node.kubelet.delete_pod("default", f"pod-{number}")
    await node.until(lambda: node.kubelet.capacity()[GPU] == 2)


async def test_a_kubelet_that_restarts_is_registered_with_again(node: Node) -> None:
    node.start(sharing(4))
    await node.until_allocatable(4)
    await node.kubelet.restart()
    await node.until_allocatable(4)


async def test_a_critical_error_marks_all_replicas_of_its_gpu(node: Node) -> None:
    agent = node.start(sharing(4), emulate="t4x2")
    await node.until_allocatable(8)
    broken = agent.snapshot()["gpus"][0]["uuid"]
    _inject(node, device=broken, xid=31)  # an application's own fault
    _inject(node, device=broken, xid=79)
    await node.until_allocatable(4)
    health = {gpu["uuid"]: gpu["healthy"] for gpu in agent.snapshot()["gpus"]}
    assert [gpu for gpu, well in health.items() if not well] == [broken]
    assert [entry["gpu"] for entry in node.logged("GPU unhealthy")] == [broken]


def _inject(node: Node, **what: Any) -> None:
    link = Link(node.folder / "run" / "gpu")
    try:
        link.ask("inject", **what)
    finally:
        link.close()


async def test_a_config_that_is_bad_from_the_start_is_told_whole(node: Node) -> None:
    node.start("sharing: {timeSlicing: {resources: [{replicas: 0}]}}\nversion: v9\n")
    assert node.task is not None
    with pytest.raises(ConfigRefused) as refused:
        await node.task
    assert len([f for f in refused.value.findings if f.level == "error"]) >= 3


async def test_no_gpu_is_the_end_under_fail_on_init_error(
    node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rota.agent.opening.open_hardware", _no_gpu)
    node.start(sharing(4))
    assert node.task is not None
    with pytest.raises(GpuError, match="no GPU here"):
        await node.task


async def test_no_gpu_is_waited_for_without_fail_on_init_error(
    node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rota.agent.opening.RETRY", 0.05)
    with monkeypatch.context() as away:
        away.setattr("rota.agent.opening.open_hardware", _no_gpu)
        node.start("version: v1\nflags: {failOnInitError: false}\n")
        await node.until(lambda: node.logged("no GPU to serve; looking again"))
    await node.until_allocatable(1)
    assert len(node.logged("no GPU to serve; looking again")) == 1


async def test_a_plugin_folder_too_deep_for_a_socket_is_refused_at_once(node: Node) -> None:
    deep = node.folder / ("d" * 100)
    node.start(sharing(4), kubelet_dir=deep)
    assert node.task is not None
    with pytest.raises(RotaError, match="shorter --kubelet-dir"):
        await node.task


CDI = "flags: {plugin: {deviceListStrategy: cdi-cri}}\n"


async def test_a_cdi_folder_that_cannot_be_written_refuses_the_config(node: Node) -> None:
    (node.folder / "file").write_text("")
    nowhere = node.folder / "file" / "cdi"
    node.start(sharing(4, CDI), cdi_dir=nowhere)
    assert node.task is not None
    with pytest.raises(ConfigRefused, match="CDI spec"):
        await node.task
    agent = node.start(sharing(4), cdi_dir=nowhere)
    await node.until_allocatable(4)
    node.config.write_text(sharing(6, CDI))
    await node.until(lambda: agent.snapshot()["config"]["refused"] == 1)
    assert node.kubelet.allocatable()[GPU] == 4


def _no_gpu(*_: object) -> None:
    raise GpuError("no GPU here")


async def test_a_second_agent_on_the_node_says_so(node: Node) -> None:
    node.start(sharing(4))
    await node.until_allocatable(4)
    with pytest.raises(RotaError, match="another agent"):
        await NodeAgent(node.settings(), make_logger("json", stream=node.lines)).run()


async def test_its_gpus_are_claimed_while_it_runs_and_another_kubelets_agent_gets_none(
    node: Node, tmp_path: Path
) -> None:
    claims = tmp_path / "claims"
    agent = node.start(sharing(4), claims=claims)
    await node.until_allocatable(4)
    (gpu,) = agent._inventory.gpus
    assert is_claimed(claims, gpu.uuid)
    beside = {"kubelet_dir": node.folder / "k", "run_dir": node.folder / "r", "claims": claims}
    other = NodeAgent(node.settings(**beside), make_logger("json", "debug", node.lines))
    with pytest.raises(RotaError, match="gives out this GPU already"):
        await other.run()
    await node.stop()
    assert not is_claimed(claims, gpu.uuid)


async def test_a_fault_in_one_task_takes_none_of_the_others_down(
    node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(*_: object) -> None:
        raise ZeroDivisionError("a bug")

    monkeypatch.setattr("rota.agent.health.watch_errors", broken)
    node.start(sharing(4))
    await node.until_allocatable(4)
    await node.until(lambda: node.logged("fault; starting again"))
    node.config.write_text(sharing(5))
    await node.until_allocatable(5)


async def test_status_is_served_over_http(node: Node) -> None:
    node.start(sharing(4), listen="127.0.0.1:0")
    await node.until_allocatable(4)
    port = node.logged("status")[0]["port"]
    address = f"http://127.0.0.1:{port}/api/v1/status"
    with await asyncio.to_thread(urlopen, address, timeout=PATIENCE) as answer:
        status = json.load(answer)
    assert status["emulated"] is True
    assert [resource["name"] for resource in status["resources"]] == [GPU]
    assert len(status["resources"][0]["replicas"]) == 4


async def test_a_clean_end_leaves_no_socket(node: Node) -> None:
    node.start(sharing(4))
    await node.until_allocatable(4)
    folder = node.kubelet.plugin_socket.parent
    assert [file.name for file in folder.glob("nvidia*")] == ["nvidia-gpu.sock"]
    await node.stop()
    assert not list(folder.glob("nvidia*"))
    await node.until_allocatable(0)
