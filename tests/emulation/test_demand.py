"""The demand of emulated programs, read with the code that reads CUDA programs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest

from rota.emulation.gates import EmulatedGates
from rota.gpu.demand import ProcessDemand

if TYPE_CHECKING:
    from tests.emulation.conftest import Puppet, Room, Workload

LONG = 20.0


@pytest.fixture
def room(shared_room: Room) -> Room:
    return shared_room


@pytest.fixture
def gates(room: Room) -> Iterator[EmulatedGates]:
    door = EmulatedGates(room.folder)
    yield door
    door.forget()


@pytest.fixture
def read() -> Iterator[Callable[[Puppet | Workload], ProcessDemand]]:
    """Read the demand of a program."""
    readers: list[ProcessDemand] = []

    def start(program: Puppet | Workload) -> ProcessDemand:
        readers.append(ProcessDemand(program.pid, program.started))
        return readers[-1]

    yield start
    for reader in readers:
        reader.close()


def holds(condition: Callable[[], Any]) -> bool:
    return all(condition() for _ in range(20))


def test_a_program_wants_the_gpu_from_its_next_call_on(
    room: Room, gates: EmulatedGates, read: Callable[..., ProcessDemand], wait: Callable[..., Any]
) -> None:
    puppet = room.puppet()
    puppet.do("context = cuda.init().context(0)")
    demand = read(puppet)
    gates.close(puppet.pid, puppet.started, LONG)
    assert holds(lambda: not demand.wants())
    puppet.begin("context.launch(0.001)")
    wait(demand.wants)
    gates.open(puppet.pid, puppet.started)
    puppet.end()
    wait(lambda: holds(demand.asleep))


def test_a_program_that_waits_for_its_kernel_is_awake(
    room: Room, gates: EmulatedGates, read: Callable[..., ProcessDemand], wait: Callable[..., Any]
) -> None:
    puppet = room.puppet()
    puppet.do("context = cuda.init().context(0)")
    demand = read(puppet)
    gates.close(puppet.pid, puppet.started, LONG)
    puppet.begin("context.launch(3600)")
    wait(demand.wants)
    gates.open(puppet.pid, puppet.started)
    puppet.end()
    puppet.begin("context.synchronize()")
    wait(lambda: holds(lambda: not demand.asleep()))


def test_a_trainer_always_wants_it(
    room: Room, gates: EmulatedGates, read: Callable[..., ProcessDemand], wait: Callable[..., Any]
) -> None:
    trainer = room.workload("trainer", "--kernel", "5ms", "--threads", "3")
    trainer.wait_for("progress")
    demand = read(trainer)
    for _ in range(5):
        gates.close(trainer.pid, trainer.started, LONG)
        wait(demand.wants)
        gates.open(trainer.pid, trainer.started)
        demand.asleep()


def test_a_server_between_two_requests_does_not(
    room: Room, gates: EmulatedGates, read: Callable[..., ProcessDemand], wait: Callable[..., Any]
) -> None:
    server = room.workload("server", "--kernel", "1ms", "--period", "3600s")
    server.wait_for("request")
    demand = read(server)
    wait(lambda: holds(demand.asleep))
    gates.close(server.pid, server.started, LONG)
    assert holds(lambda: not demand.wants())


def test_a_notebook_whose_author_thinks_does_not(
    room: Room, gates: EmulatedGates, read: Callable[..., ProcessDemand], wait: Callable[..., Any]
) -> None:
    notebook = room.workload("notebook", "--kernel", "1ms", "--think", "3600s")
    notebook.wait_for("cell")
    demand = read(notebook)
    wait(lambda: holds(demand.asleep))
    gates.close(notebook.pid, notebook.started, LONG)
    assert holds(lambda: not demand.wants())
