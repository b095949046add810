"""Gates of emulated processes: from outside, on a real rwlock, with the driver's errors."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from rota.emulation.gates import EmulatedGates
from rota.emulation.inventory import EmulatedInventory
from rota.gpu.doors import (
    GateBusy,
    GateError,
    GateGone,
    GateIllegal,
    GateNoContext,
    GateState,
    GateUnsupported,
)
from rota.gpu.processes import started
from rota.gpu.syscalls import FUTEX

if TYPE_CHECKING:
    from tests.emulation.conftest import Puppet, Room

LONG = 20.0
SYNC = "context.synchronize()"


@pytest.fixture
def room(shared_room: Room) -> Room:
    return shared_room


@pytest.fixture
def gates(room: Room) -> Iterator[EmulatedGates]:
    door = EmulatedGates(room.folder)
    yield door
    door.forget()


@pytest.fixture
def puppet(room: Room) -> Puppet:
    """A program with a context."""
    program = room.puppet()
    program.do("context = cuda.init().context(0)")
    return program


def call_of(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/task/{pid}/syscall").read_text().split()


def waits_at_gate(pid: int) -> bool:
    call = call_of(pid)
    return call[0] == str(FUTEX) and call[2:4] == ["0x189", "0x3"]


def test_a_closed_gate_holds_the_next_call_until_it_is_opened(
    puppet: Puppet, gates: EmulatedGates, wait: Callable[..., Any]
) -> None:
    gates.close(puppet.pid, puppet.started, LONG)
    assert gates.state(puppet.pid, puppet.started) is GateState.CLOSED
    puppet.begin("context.launch(0.001)")
    wait(lambda: waits_at_gate(puppet.pid))
    gates.open(puppet.pid, puppet.started)
    puppet.end()
    assert gates.state(puppet.pid, puppet.started) is GateState.OPEN


def test_close_returns_when_what_was_submitted_has_drained(
    room: Room, puppet: Puppet, gates: EmulatedGates
) -> None:
    for _ in range(5):
        puppet.do("context.launch(0.04)")
    gates.close(puppet.pid, puppet.started, LONG)
    door = EmulatedInventory(room.folder)
    assert door.accounts(room.gpu)[puppet.pid] == pytest.approx(0.2)
    door.close()


def test_what_does_not_drain_in_time_stays_open_and_unharmed(
    puppet: Puppet, gates: EmulatedGates
) -> None:
    puppet.do("context.launch(3600)")
    with pytest.raises(GateBusy, match="did not drain"):
        gates.close(puppet.pid, puppet.started, 0.02)
    assert gates.state(puppet.pid, puppet.started) is GateState.OPEN
    puppet.do("context.launch(0.001)")


def test_a_thread_inside_a_call_is_waited_for_and_let_out(
    puppet: Puppet, gates: EmulatedGates, wait: Callable[..., Any]
) -> None:
    puppet.do("context.launch(3600)")
    puppet.begin(SYNC)
    wait(lambda: call_of(puppet.pid)[2:3] == ["0x0"])
    with pytest.raises(GateBusy):
        gates.close(puppet.pid, puppet.started, 0.02)
    assert call_of(puppet.pid)[2] == "0x0"


def test_closing_twice_and_opening_twice_are_told_apart(
    puppet: Puppet, gates: EmulatedGates
) -> None:
    with pytest.raises(GateIllegal):
        gates.open(puppet.pid, puppet.started)
    gates.close(puppet.pid, puppet.started, LONG)
    with pytest.raises(GateIllegal):
        gates.close(puppet.pid, puppet.started, LONG)
    gates.open(puppet.pid, puppet.started)


def test_a_process_without_a_context_has_nothing_to_gate(room: Room, gates: EmulatedGates) -> None:
    program = room.puppet()
    with pytest.raises(GateNoContext):
        gates.close(program.pid, program.started, LONG)
    program.do("library = cuda.init()")
    with pytest.raises(GateNoContext, match="has no context"):
        gates.close(program.pid, program.started, LONG)
    program.do("library.context(0)")
    gates.close(program.pid, program.started, LONG)


def test_no_call_reaches_another_process_with_the_same_pid(
    puppet: Puppet, gates: EmulatedGates
) -> None:
    before = puppet.started
    with pytest.raises(GateGone):
        gates.close(puppet.pid, before - 1, LONG)
    assert gates.state(puppet.pid, before) is GateState.OPEN
    puppet.kill()
    with pytest.raises(GateGone):
        gates.open(puppet.pid, before)


def test_a_controller_that_dies_leaves_it_closed_and_any_other_opens_it(
    room: Room, puppet: Puppet, gates: EmulatedGates
) -> None:
    code = (
        "import os, signal, sys; from pathlib import Path; "
        "from rota.emulation.gates import EmulatedGates; "
        f"EmulatedGates(Path({str(room.folder)!r})).close({puppet.pid}, {puppet.started}, 20); "
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    controller = subprocess.run([sys.executable, "-c", code], check=False)
    assert controller.returncode == -signal.SIGKILL
    assert gates.state(puppet.pid, puppet.started) is GateState.CLOSED
    puppet.begin("context.launch(0.001)")
    gates.open(puppet.pid, puppet.started)
    puppet.end()


def test_a_closed_process_can_be_killed_and_leaves_nothing(
    room: Room, puppet: Puppet, gates: EmulatedGates, wait: Callable[..., Any]
) -> None:
    gates.close(puppet.pid, puppet.started, LONG)
    puppet.begin("context.launch(0.001)")
    wait(lambda: waits_at_gate(puppet.pid))
    puppet.kill()
    door = EmulatedInventory(room.folder)
    wait(lambda: door.processes(room.gpu) == ())
    door.close()


def test_waiting_for_the_gpu_is_told_from_sleeping(
    puppet: Puppet, gates: EmulatedGates, wait: Callable[..., Any]
) -> None:
    puppet.do("context.launch(3600)")
    puppet.begin(SYNC)
    wait(lambda: call_of(puppet.pid)[:1] == [str(FUTEX)] and call_of(puppet.pid)[2] == "0x0")
    assert int(call_of(puppet.pid)[3], 16) & 1 << 30


def test_many_cycles_lose_no_work(room: Room, gates: EmulatedGates) -> None:
    trainer = room.workload("trainer", "--kernel", "1ms", "--threads", "4")
    trainer.wait_for("progress")
    when = started(trainer.pid)
    assert when is not None
    for _ in range(150):
        gates.close(trainer.pid, when, LONG)
        gates.open(trainer.pid, when)
    before = len(trainer.lines("progress"))
    trainer.wait_for("progress", before + 2)
    os.kill(trainer.pid, signal.SIGTERM)
    assert trainer.process.wait() == 0


def test_one_gate_that_drains_holds_up_no_other(
    room: Room, puppet: Puppet, gates: EmulatedGates
) -> None:
    other = room.puppet()
    other.do("context = cuda.init().context(0)")
    puppet.do("context.launch(3600)")
    failed: list[GateError] = []

    def close() -> None:
        try:
            gates.close(puppet.pid, when, 3600.0)
        except GateError as error:
            failed.append(error)

    when = puppet.started
    thread = threading.Thread(target=close)
    thread.start()
    gates.close(other.pid, other.started, LONG)
    gates.open(other.pid, other.started)
    assert thread.is_alive()
    puppet.kill()
    thread.join(30.0)
    assert [type(error) for error in failed] == [GateGone]


def test_a_process_goes_to_host_memory_and_comes_back_with_all_it_had(room: Room) -> None:
    puppet = room.puppet()
    puppet.do("c = cuda.init().context(0)")
    puppet.do("h = c.malloc(2**30)")
    door, gates = EmulatedInventory(room.folder), EmulatedGates(room.folder)
    gates.close(puppet.pid, puppet.started, 5.0)
    gates.page_out(puppet.pid, puppet.started)
    assert gates.state(puppet.pid, puppet.started) is GateState.PAGED_OUT
    assert door.processes(room.gpu) == ()
    assert door.memory(room.gpu).used == 0
    with pytest.raises(GateIllegal):
        gates.open(puppet.pid, puppet.started)
    gates.page_in(puppet.pid, puppet.started)
    assert gates.state(puppet.pid, puppet.started) is GateState.CLOSED
    gates.open(puppet.pid, puppet.started)
    puppet.do("c.free(h)")
    gates.forget()
    door.close()


def test_managed_memory_cannot_be_paged_out(room: Room) -> None:
    puppet = room.puppet()
    puppet.do("cuda.init().context(0).malloc_managed(2**20)")
    gates = EmulatedGates(room.folder)
    gates.close(puppet.pid, puppet.started, 5.0)
    with pytest.raises(GateUnsupported):
        gates.page_out(puppet.pid, puppet.started)
    assert gates.state(puppet.pid, puppet.started) is GateState.CLOSED
    gates.forget()


def test_a_restore_that_meets_too_little_memory_loses_the_process(room: Room) -> None:
    puppet, other = room.puppet(), room.puppet()
    puppet.do("cuda.init().context(0).malloc(2**30)")
    gates = EmulatedGates(room.folder)
    gates.close(puppet.pid, puppet.started, 5.0)
    gates.page_out(puppet.pid, puppet.started)
    other.do("c = cuda.init().context(0)")
    other.do("c.malloc(c.memory()[0])")
    with pytest.raises(GateError):
        gates.page_in(puppet.pid, puppet.started)
    assert gates.state(puppet.pid, puppet.started) is GateState.FAILED
    gates.forget()
