"""What a program in a container sees of its GPUs, as one line of JSON. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from rota.errors import RotaError

_SMI = re.compile(r"((?:GPU|MIG)-[0-9a-f-]+), *([^,]+), *(\d+) MiB")
"""A line of `nvidia-smi --query-gpu=uuid,name,memory.total --format=csv,noheader`."""


class NoSight(RotaError):
    """A log in which nobody says what was seen."""


@dataclass(frozen=True, slots=True)
class Seen:
    """One device.

    Attributes:
        uuid: of the GPU or MIG device.
        product: its name.
        memory: all of its memory, in bytes.
        room: what the program can take of it, in bytes; None where nobody asked the driver.
    """

    uuid: str
    product: str = ""
    memory: int = 0
    room: int | None = None


@dataclass(frozen=True, slots=True)
class Sight:
    """What one container sees.

    Attributes:
        visible: NVIDIA_VISIBLE_DEVICES.
        replicas: ids of the replicas that Rota gave it; empty under NVIDIA's plugin.
        devices: what the driver shows.
        why: why there are no devices, or why nobody knows the room on them.
        emulated: there is no such GPU.
    """

    visible: str = ""
    replicas: tuple[str, ...] = ()
    devices: tuple[Seen, ...] = ()
    why: str = ""
    emulated: bool = False

    def line(self) -> str:
        """As `rota inside` prints it."""
        return json.dumps(asdict(self))


def read(log: str) -> Sight:
    """What a container's log says.

    Raises:
        NoSight: nothing of it.
    """
    for line in reversed(log.splitlines()):
        if line.startswith("{"):
            try:
                sight = _sight(json.loads(line))
            except (ValueError, TypeError, AttributeError, KeyError):
                continue
            return sight if sight.devices or sight.why else _of_smi(sight, log)
    raise NoSight("its log does not say what it sees", hint=_last(log))


def _sight(raw: Mapping[str, Any]) -> Sight:
    return Sight(
        str(raw["visible"]),
        tuple(str(one) for one in raw.get("replicas") or ()),
        tuple(_device(one) for one in raw.get("devices") or ()),
        str(raw.get("why") or ""),
        bool(raw.get("emulated")),
    )


def _device(raw: Mapping[str, Any]) -> Seen:
    room = raw.get("room")
    memory = int(raw.get("memory") or 0)
    product = str(raw.get("product") or "")
    return Seen(str(raw["uuid"]), product, memory, None if room is None else int(room))


def _of_smi(sight: Sight, log: str) -> Sight:
    """An image without Rota says it with nvidia-smi."""
    found = tuple(Seen(u, name.strip(), int(mib) << 20) for u, name, mib in _SMI.findall(log))
    return Sight(sight.visible, (), found, "" if found else "nvidia-smi shows no GPU in there")


def _last(log: str) -> str:
    lines = [line.strip() for line in log.splitlines() if line.strip()]
    return f"its last word: {lines[-1][:200]}" if lines else "it is empty"
