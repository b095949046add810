"""How much memory a program finds on the devices it sees, by the CUDA driver's own word.

It takes a context on each, since the driver answers nobody else; a call waits at a closed gate, as
every call does. What is found free in one's own turn, ballast and all, is what one may take.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from rota.gpu.cuda import checked, load


@dataclass(frozen=True, slots=True)
class Room:
    """Memory of one device as a program sees it, in bytes.

    Attributes:
        uuid: the device's.
        product: its name.
        total: all of it.
        free: what can be taken now.
    """

    uuid: str
    product: str
    total: int
    free: int


class Rooms:
    """The devices of this process."""

    def __init__(self, driver: Any | None = None) -> None:
        """Makes a context on each.

        Raises:
            GpuError: no bindings, no driver, no device, or no room for a context.
        """
        self._cuda = driver or load()
        devices = [self._do("cuDeviceGet", n) for n in range(self._do("cuDeviceGetCount"))]
        self._contexts = [(one, self._do("cuDevicePrimaryCtxRetain", one)) for one in devices]

    def look(self) -> Iterator[Room]:
        """What there is now. Raises GpuError."""
        for device, context in self._contexts:
            self._do("cuCtxSetCurrent", context)
            told = self._cuda.cuMemGetInfo()
            checked("cuMemGetInfo", told)
            _, free, total = told
            raw = bytes(self._do(self._uuid_call, device).bytes)
            name: bytes = self._do("cuDeviceGetName", 128, device)
            text = name.split(b"\0")[0].decode(errors="replace")
            yield Room(f"GPU-{uuid.UUID(bytes=raw)}", text, int(total), int(free))

    @property
    def _uuid_call(self) -> str:
        """Bindings of CUDA 12 have both calls, and only the second knows MIG devices."""
        second = "cuDeviceGetUuid_v2"
        return second if hasattr(self._cuda, second) else "cuDeviceGetUuid"

    def _do(self, name: str, *arguments: Any) -> Any:
        return checked(name, getattr(self._cuda, name)(*arguments))
