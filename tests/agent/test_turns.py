"""What the gatekeeper is told, and that pods of a node really take turns."""

from __future__ import annotations

import asyncio
import sys
from contextlib import suppress
from dataclasses import replace

from rota.agent.turns import UNMANAGED, Order, Wish, node_of, reasons
from rota.clients.picture import ClientOnGpu, Picture, ProcessKey, Unmanaged, Why
from rota.config.schema import Turns as TurnSettings
from rota.emulation.profiles import parse_emulation
from rota.gatekeeper.client import NoGatekeeper, ask, read_turns
from rota.gatekeeper.journal import Process
from rota.gpu.capability import Rights
from rota.kubelet.embedded import PodSpec
from rota.kubelet.embedded.spec import ContainerSpec
from rota.model import Replica
from rota.scheduling.terms import Priority
from tests.agent.conftest import GPU, Node, sharing

HERE = "GPU-1"


def client(name: str, pid: int, replicas: int = 1, gpu: str = HERE) -> ClientOnGpu:
    held = tuple(Replica(gpu, number) for number in range(replicas))
    processes = (ProcessKey(pid, 7),) if pid else ()
    return ClientOnGpu(f"default/{name}/main", gpu, held, processes, ())


def no_wish(_: str) -> Wish:
    return Wish()


def test_a_share_is_replicas_times_weight() -> None:
    picture = Picture((client("a", 10, 2), client("b", 11)))
    wishes = {"default/a/main": Wish(1.5, Priority.INTERACTIVE)}
    node = node_of(picture, Order(), lambda id_: wishes.get(id_, Wish()))
    first, second = node.clients
    assert (first.shares[HERE].size, second.shares[HERE].size) == (3.0, 1.0)
    assert first.shares[HERE].priority is Priority.INTERACTIVE


def test_a_client_of_two_gpus_is_one_client() -> None:
    node = node_of(Picture((client("a", 10), client("a", 10, gpu="GPU-2"))), Order(), no_wish)
    assert [set(each.shares) for each in node.clients] == [{"GPU-1", "GPU-2"}]
    assert [len(each.processes) for each in node.clients] == [1]


def test_a_holder_without_a_process_takes_no_turns() -> None:
    assert node_of(Picture((client("a", 0),)), Order(), no_wish).clients == ()


def test_a_starting_process_is_told_as_such_also_where_its_client_has_no_other() -> None:
    first = replace(client("a", 0), starting=(ProcessKey(12, 9),))
    second = replace(client("b", 11), starting=(ProcessKey(13, 9),))
    one, two = node_of(Picture((first, second)), Order(), no_wish).clients
    assert one.processes == one.starting == {Process(12, 9)}
    assert two.processes == {Process(11, 7), Process(13, 9)}
    assert two.starting == {Process(13, 9)}


def test_unmanaged_processes_are_left_alone_unless_the_config_gates_them() -> None:
    stranger = Unmanaged(HERE, ProcessKey(20, 3), Why.NOBODY, False, ())
    newcomer = replace(stranger, process=ProcessKey(21, 3), pending=True)
    picture = Picture((), (stranger, newcomer))
    assert node_of(picture, Order(), no_wish).clients == ()
    (gated,) = node_of(picture, Order(TurnSettings(unmanaged="gate")), no_wish).clients
    assert gated.id == UNMANAGED + HERE
    assert [process.pid for process in gated.processes] == [20]


def test_the_configs_quantum_and_mode_are_passed_on() -> None:
    settings = TurnSettings(mode="driver", quantum=0.25, minimum=0.01)
    told = node_of(Picture(), Order(settings), no_wish).settings
    assert (told.mode, told.rules.quantum, told.rules.minimum) == ("driver", 0.25, 0.01)


def test_a_gpu_without_turns_leaves_its_clients_ungated_and_says_why() -> None:
    order = Order(reasons={HERE: "driver 535.104 is older than 570"})
    (told,) = node_of(Picture((client("a", 10),)), order, no_wish).clients
    assert told.ungated == "driver 535.104 is older than 570"


def test_each_reason_for_doing_without_turns_is_found() -> None:
    good = Rights(root=True, ptrace=True, bindings=(13, 5))
    real = replace(parse_emulation("h200"), emulated=False)
    assert set(reasons(real, good).values()) == {""}
    old = replace(real, driver_version="535.104.05")
    assert "older than 570" in next(iter(reasons(old, good).values()))
    shut = Rights(root=True, ptrace=False, bindings=(13, 5))
    assert "CAP_SYS_PTRACE" in next(iter(reasons(real, shut).values()))
    mig = replace(parse_emulation("a100-mig"), emulated=False)
    assert all("MIG" in why for why in reasons(mig, good).values())


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
