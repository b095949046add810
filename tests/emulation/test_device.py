"""Memory and contexts of one emulated device."""

from __future__ import annotations

import pytest

from rota.emulation.device import CONTEXT_BYTES, EmulatedDevice, NoMemory
from rota.errors import GpuError
from rota.model import Device, Gpu

GIB = 2**30


@pytest.fixture
def device() -> EmulatedDevice:
    gpu = Gpu("GPU-1", 0, 0, "a GPU", 4 * GIB, (9, 0))
    return EmulatedDevice(Device(gpu), 0.0)


def test_memory_is_finite(device: EmulatedDevice) -> None:
    device.allocate(1, 100, 3 * GIB)
    with pytest.raises(NoMemory, match="2147483648 bytes asked, 1073741824 of 4294967296 free"):
        device.allocate(2, 200, 2 * GIB)
    assert device.used == 3 * GIB


def test_a_context_costs_memory_once_and_makes_a_process_listed(device: EmulatedDevice) -> None:
    device.allocate(1, 100, GIB)
    assert device.listed() == {}
    device.make_context(1, 100)
    device.make_context(1, 100)
    assert device.listed() == {100: GIB + CONTEXT_BYTES}


def test_a_context_is_refused_when_there_is_no_room_for_it(device: EmulatedDevice) -> None:
    device.allocate(1, 100, 4 * GIB)
    with pytest.raises(NoMemory):
        device.make_context(2, 200)


def test_nobody_releases_what_is_another_s(device: EmulatedDevice) -> None:
    handle = device.allocate(1, 100, GIB)
    with pytest.raises(GpuError, match="not held"):
        device.release(2, handle)
    device.release(1, handle)
    with pytest.raises(GpuError, match="not held"):
        device.release(1, handle)
    assert device.free == device.total


def test_the_dead_leave_their_memory_and_keep_their_account(device: EmulatedDevice) -> None:
    device.make_context(1, 100)
    device.timeline.submit(1, 1, 5.0, 0.0)
    device.timeline.advance(2.0)
    device.end(1, 2.0)
    assert device.free == device.total
    assert device.listed() == {}
    assert device.accounts() == {100: pytest.approx(2.0)}


def test_a_pid_that_is_used_again_starts_a_new_account(device: EmulatedDevice) -> None:
    device.make_context(1, 100)
    device.timeline.submit(1, 1, 5.0, 0.0)
    device.end(1, 2.0)
    device.make_context(2, 100)
    assert device.accounts() == {100: 0.0}


def test_less_than_nothing_cannot_be_allocated(device: EmulatedDevice) -> None:
    with pytest.raises(NoMemory):
        device.allocate(1, 100, -1)
