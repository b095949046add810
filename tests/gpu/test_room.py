"""What a program finds of memory, by the driver's word."""

from __future__ import annotations

import uuid
from types import SimpleNamespace
from typing import Any

import pytest

from rota.errors import GpuError
from rota.gpu.room import Room, Rooms

ID = uuid.UUID("97d443a5-366f-5e66-8654-b68bce86e81c")


class Driver:
    """`cuda.bindings.driver` for two devices, of which one may have no room for a context."""

    def __init__(self, full: bool = False) -> None:
        self.current, self.full = 0, full

    def cuDeviceGetCount(self) -> tuple[int, int]:  # noqa: N802
        return 0, 2

    def cuDeviceGet(self, number: int) -> tuple[int, int]:  # noqa: N802
        return 0, number

    def cuDevicePrimaryCtxRetain(self, device: int) -> tuple[Any, ...]:  # noqa: N802
        return (2,) if self.full else (0, device)

    def cuCtxSetCurrent(self, context: int) -> tuple[int]:  # noqa: N802
        self.current = context
        return (0,)

    def cuMemGetInfo(self) -> tuple[int, int, int]:  # noqa: N802
        return 0, 100 + self.current, 1000

    def cuDeviceGetUuid_v2(self, device: int) -> tuple[int, Any]:  # noqa: N802
        return 0, SimpleNamespace(bytes=ID.bytes)

    def cuDeviceGetName(self, size: int, device: int) -> tuple[int, bytes]:  # noqa: N802
        return 0, b"NVIDIA T4\0\0"


def test_each_device_by_itself() -> None:
    assert list(Rooms(Driver()).look()) == [
        Room(f"GPU-{ID}", "NVIDIA T4", 1000, 100),
        Room(f"GPU-{ID}", "NVIDIA T4", 1000, 101),
    ]


def test_no_room_for_a_context_is_an_error_of_ours() -> None:
    with pytest.raises(GpuError, match="cuDevicePrimaryCtxRetain"):
        Rooms(Driver(full=True))
