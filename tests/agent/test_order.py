"""What the gatekeeper is told of a node: who is on its GPUs, and what each is due."""

from __future__ import annotations

from dataclasses import replace

from rota.agent.order import UNMANAGED, Order, Wish, node_of, reasons
from rota.clients.picture import ClientOnGpu, Picture, ProcessKey, Unmanaged, Why
from rota.config.schema import Turns as TurnSettings
from rota.emulation.profiles import parse_emulation
from rota.gatekeeper.journal import Process
from rota.gpu.capability import Rights
from rota.model import Replica
from rota.scheduling.terms import Priority

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
