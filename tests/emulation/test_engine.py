"""The emulated GPU as its users meet it: real processes on a real engine."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from rota.emulation import driver, layout
from rota.emulation.device import CONTEXT_BYTES
from rota.emulation.inventory import EmulatedInventory
from rota.emulation.profiles import parse_emulation
from rota.errors import GpuError

if TYPE_CHECKING:
    from tests.emulation.conftest import Room

GIB = 2**30


@pytest.fixture
def nvml(room: Room) -> Any:
    door = EmulatedInventory(room.folder)
    yield door
    door.close()


def test_a_process_is_listed_with_its_memory(room: Room, nvml: EmulatedInventory) -> None:
    puppet = room.puppet()
    puppet.do("context = cuda.init().context(0)")
    puppet.do(f"block = context.malloc({2 * GIB})")
    (process,) = nvml.processes(room.gpu)
    assert (process.pid, process.memory_bytes) == (puppet.pid, 2 * GIB + CONTEXT_BYTES)
    assert nvml.memory(room.gpu).used == 2 * GIB + CONTEXT_BYTES
    puppet.do("context.free(block)")
    assert nvml.memory(room.gpu).used == CONTEXT_BYTES


def test_who_asks_for_too_much_is_refused_and_nobody_else_notices(room: Room) -> None:
    first, second = room.puppet(), room.puppet()
    for puppet in (first, second):
        puppet.do("context = cuda.init().context(0)")
    first.do(f"block = context.malloc({10 * GIB})")
    assert second.refusal(f"context.malloc({10 * GIB})") == "OutOfMemory"
    second.do(f"context.malloc({GIB})")
    first.do("context.free(block)")
    second.do(f"context.malloc({10 * GIB})")


def test_a_killed_process_leaves_its_memory_and_its_queue_at_once(
    room: Room, nvml: EmulatedInventory, wait: Callable[..., Any]
) -> None:
    dead, alive = room.puppet(), room.puppet()
    for puppet in (dead, alive):
        puppet.do("context = cuda.init().context(0)")
    dead.do(f"context.malloc({10 * GIB})")
    dead.do("context.launch(3600)")
    dead.kill()
    wait(lambda: [each.pid for each in nvml.processes(room.gpu)] == [alive.pid])
    alive.do(f"context.malloc({10 * GIB})")
    alive.do("context.launch(0.01)")
    alive.do("context.synchronize()")
    assert dead.pid in nvml.accounts(room.gpu)


def test_a_kernel_takes_its_time_and_is_accounted(room: Room, nvml: EmulatedInventory) -> None:
    puppet = room.puppet()
    puppet.do("import time")
    puppet.do("context = cuda.init().context(0)")
    puppet.do("start = time.monotonic()")
    puppet.do("context.launch(0.1)")
    puppet.do("context.launch(0.15)")
    puppet.do("context.synchronize()")
    assert puppet.do("time.monotonic() - start") >= 0.25
    assert nvml.accounts(room.gpu)[puppet.pid] == pytest.approx(0.25)
    assert nvml.utilization(room.gpu) > 0


def test_processes_side_by_side_get_the_same_and_slow_each_other_down(
    room: Room, nvml: EmulatedInventory, wait: Callable[..., Any]
) -> None:
    puppets = [room.puppet(), room.puppet()]
    for puppet in puppets:
        puppet.do("context = cuda.init().context(0)")
        puppet.do("context.launch(3600)")
    before = nvml.accounts(room.gpu)

    def served() -> list[float]:
        now = nvml.accounts(room.gpu)
        return [now[puppet.pid] - before[puppet.pid] for puppet in puppets]

    wait(lambda: sum(served()) > 0.5)
    first, second = served()
    assert abs(first - second) <= 0.005
    assert nvml.utilization(room.gpu) > 0.3


def test_a_kernel_takes_a_length_of_time_and_nothing_else(room: Room) -> None:
    puppet = room.puppet()
    puppet.do("context = cuda.init().context(0)")
    for nonsense in ("float('nan')", "float('inf')", "-1"):
        assert puppet.refusal(f"context.launch({nonsense})") == "GpuError"
    puppet.do("context.launch(0)")
    puppet.do("context.synchronize()")


def test_a_program_behind_void_sees_no_device(room: Room) -> None:
    puppet = room.puppet(NVIDIA_VISIBLE_DEVICES="void")
    assert puppet.refusal("cuda.init().context(0)") == "NoDevice"


def test_a_program_uses_the_device_that_it_was_given(emulate: Callable[[str], Room]) -> None:
    room = emulate("t4x2")
    second = parse_emulation("t4x2").gpus[1].uuid
    puppet = room.puppet(NVIDIA_VISIBLE_DEVICES=second)
    assert puppet.do("cuda.init().context(0).uuid") == second
    assert puppet.do("cuda.init().context(0).memory()") == [
        15 * GIB - CONTEXT_BYTES,
        15 * GIB,
    ]


def test_a_mig_instance_has_memory_of_its_own(emulate: Callable[[str], Room]) -> None:
    room = emulate("a100-mig")
    gpu = parse_emulation("a100-mig").gpus[0]
    part = gpu.mig_devices[3]
    puppet = room.puppet(NVIDIA_VISIBLE_DEVICES=part.uuid)
    puppet.do("context = cuda.init().context(0)")
    assert puppet.refusal(f"context.malloc({20 * GIB})") == "OutOfMemory"
    door = EmulatedInventory(room.folder)
    assert door.memory(part.uuid).total == part.memory_bytes
    assert [each.pid for each in door.processes(gpu.uuid)] == [puppet.pid]
    assert door.memory(gpu.uuid).total == sum(mig.memory_bytes for mig in gpu.mig_devices)
    door.close()


def test_after_a_fork_the_child_has_to_start_anew(room: Room) -> None:
    puppet = room.puppet()
    puppet.do("import os")
    puppet.do("context = cuda.init().context(0)")
    fork = (
        "def fork():\n"
        "    pid = os.fork()\n"
        "    if pid: return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])\n"
        "    try: context.launch(1)\n"
        "    except cuda.NotInitialized: os._exit(42)\n"
        "    os._exit(1)\n"
    )
    puppet.do(f"exec({fork!r})")
    assert puppet.do("fork()") == 42


def test_a_tool_is_told_of_each_error_and_of_the_recovery_it_takes(
    room: Room, nvml: EmulatedInventory
) -> None:
    assert nvml.wait_event(0.0) is None
    assert nvml.needs_recovery(room.gpu) == ""
    inject = [sys.executable, "-m", "rota.emulation.inject", str(room.folder)]
    subprocess.run([*inject, "--gpu", "0", "--xid", "79", "--recovery", "reset"], check=True)
    event = nvml.wait_event(30.0)
    assert event is not None
    assert (event.gpu, event.xid) == (room.gpu, 79)
    assert nvml.needs_recovery(room.gpu) == "reset"
    assert nvml.wait_event(0.0) is None


def test_when_the_engine_is_killed_everybody_is_told(room: Room, nvml: EmulatedInventory) -> None:
    puppet = room.puppet()
    puppet.do("context = cuda.init().context(0)")
    puppet.do("context.launch(3600)")
    puppet.begin("context.synchronize()")
    os.kill(room.emulation.pid, signal.SIGKILL)
    assert puppet.process.stdout
    assert "DeviceLost" in puppet.process.stdout.readline()
    with pytest.raises(GpuError, match="does not answer"):
        nvml.processes(room.gpu)
    with pytest.raises(GpuError, match="does not answer"):
        nvml.wait_event(30.0)


def test_one_folder_holds_one_engine(room: Room) -> None:
    with pytest.raises(GpuError, match="lives here already"):
        driver.start(parse_emulation("t4"), room.folder)
    other = [sys.executable, "-m", "rota.emulation.engine", str(room.folder)]
    again = subprocess.run(other, capture_output=True, text=True, check=False)
    assert again.returncode == 1
    assert "an engine lives here already" in again.stderr


def test_an_engine_that_was_killed_is_no_obstacle(room: Room) -> None:
    os.kill(room.emulation.pid, signal.SIGKILL)
    room.emulation.stop()
    with driver.start(parse_emulation("t4"), room.folder) as emulation:
        assert emulation.folder == room.folder


def test_it_lives_as_long_as_somebody_holds_it_and_ends_by_itself(
    folder: Path, wait: Callable[..., Any]
) -> None:
    place = folder / "gpu"
    emulation = driver.start(parse_emulation("t4"), place, linger=0.1)
    second = driver.attach(place)
    assert second.pid == emulation.pid
    emulation.close()
    EmulatedInventory(place).close()
    second.close()
    wait(lambda: not layout.socket_path(place).exists())
    with pytest.raises(GpuError, match="no emulated GPU lives here"):
        driver.attach(place)


def test_a_folder_without_an_emulated_gpu_is_said_to_have_none(folder: Path) -> None:
    with pytest.raises(GpuError, match="there is no emulated GPU here"):
        EmulatedInventory(folder)


def test_a_path_too_long_for_a_socket_is_refused_with_a_way_out(folder: Path) -> None:
    with pytest.raises(GpuError, match="shorter name"):
        driver.start(parse_emulation("t4"), folder / ("x" * 120))


def test_the_inventory_comes_back_from_its_file_as_it_was(folder: Path) -> None:
    for profile in ("t4x3", "a100-mig"):
        inventory = parse_emulation(profile)
        layout.write_inventory(folder, inventory)
        assert layout.read_inventory(folder) == inventory


def test_where_no_folder_can_be_the_emulation_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(GpuError, match="cannot put an emulated GPU here"):
        driver.start(parse_emulation("t4"), tmp_path / "file" / "gpu")
