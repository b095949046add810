"""Pods of a node really take turns."""

from __future__ import annotations

import asyncio
import sys
from contextlib import suppress

from rota.gatekeeper.client import NoGatekeeper, ask, read_turns
from rota.kubelet.embedded import PodSpec
from rota.kubelet.embedded.spec import ContainerSpec
from tests.agent.conftest import GPU, Node, sharing


def trainer(name: str, *, replicas: int = 1) -> PodSpec:
    command = (sys.executable, "-m", "rota.emulation.workloads", "trainer", "--kernel", "10ms")
    container = ContainerSpec("main", command, limits={GPU: replicas})
    return PodSpec(name, (container,), restart_policy="Never", termination_grace_seconds=1)


async def test_pods_of_a_node_take_turns_by_their_shares(node: Node) -> None:
    node.start(sharing(4))
    await node.until_allocatable(4)
    node.kubelet.add_pod(trainer("large", replicas=3))
    node.kubelet.add_pod(trainer("small"))
    await _until_turns(node, 24)
    _, turns = await asyncio.to_thread(read_turns, node.folder / "run", 0)
    both = [turn for turn in turns if turn.waited > 0]  # those that somebody else had ended
    used = {
        name: sum(turn.used for turn in both if turn.client == f"default/{name}/main")
        for name in ("large", "small")
    }
    assert 0.65 < used["large"] / (used["large"] + used["small"]) < 0.85


async def test_mode_driver_closes_no_gate_and_is_live(node: Node) -> None:
    node.start(sharing(4))
    await node.until_allocatable(4)
    for name in ("one", "two"):
        node.kubelet.add_pod(trainer(name))
    await _until_turns(node, 4)
    node.config.write_text(sharing(4, "rota: {turns: {mode: driver}}\n"))
    await node.until(lambda: "driver" in str(_off(node)))
    state = await asyncio.to_thread(ask, node.folder / "run", {"op": "state"})
    assert state["mode"] == "driver"
    node.config.write_text(sharing(4))
    await node.until(lambda: set(_off(node)) == {""})
    await _until_turns(node, 4)


def _off(node: Node) -> list[str]:
    assert node.agent is not None
    return [gpu["no_turns"] for gpu in node.agent.snapshot()["gpus"]]


async def _until_turns(node: Node, count: int) -> None:
    """So many more turns have ended."""
    runtime = node.folder / "run"
    async with asyncio.timeout(40):
        first = None
        while True:
            with suppress(NoGatekeeper):
                state = await asyncio.to_thread(ask, runtime, {"op": "state"})
                first = state["turns"] if first is None else first
                if state["turns"] - first >= count:
                    return
            await asyncio.sleep(0.1)
