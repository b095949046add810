"""`rota inside`: what a program in this container sees of its GPUs."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from rota.verify.sight import Seen

LOOKS = 3
"""How often the driver is asked: what the last look finds counts, when others have come to share."""

PAUSE = 0.4
"""Seconds between two looks."""


@click.command("inside")
@click.option("--stay", is_flag=True, help="Stay until ended, and let go of the GPU.")
def command(stay: bool) -> None:
    """Show what a program in this container sees of its GPUs: devices, and the room on them.

    One line of JSON. The room is what can be taken in one's own turn: its limit, where Rota holds
    limits. `rota verify` runs this in its pods; try it as `kubectl exec POD -- rota inside`.
    """
    if stay:
        _stay()
        return
    click.echo(_sight())


def _sight() -> str:
    from rota.errors import GpuError
    from rota.kubelet.allocation import REPLICAS, VISIBLE_DEVICES
    from rota.verify.sight import Seen, Sight

    given = [one for one in os.environ.get(REPLICAS, "").split(",") if one]
    emulated, devices, why = _emulated(), [], ""
    try:
        look = _emulated_rooms() if emulated else _real_rooms()
        for number in range(LOOKS):
            time.sleep(PAUSE if number else 0)
            devices = [Seen(*room) for room in look()]
    except GpuError as error:
        why = str(error)
        devices = [] if emulated else _by_nvml()
    visible = os.environ.get(VISIBLE_DEVICES, "")
    return Sight(visible, tuple(given), tuple(devices), why, emulated).line()


Look = Callable[[], Iterable[tuple[str, str, int, int]]]
"""Gives UUID, product, bytes of memory and bytes of room of each device."""


def _emulated() -> bool:
    from rota.emulation.layout import from_environment

    return from_environment() is not None


def _emulated_rooms() -> Look:
    from rota.emulation.cuda import init

    cuda = init()
    contexts = [cuda.context(number) for number in range(len(cuda.devices))]

    def look() -> Iterable[tuple[str, str, int, int]]:
        for context in contexts:
            free, total = context.memory()
            yield context.uuid, context.product, total, free

    return look


def _real_rooms() -> Look:
    from rota.gpu.room import Rooms

    rooms = Rooms()
    return lambda: ((one.uuid, one.product, one.total, one.free) for one in rooms.look())


def _by_nvml() -> list[Seen]:
    """The devices without their rooms: NVML wants no context."""
    from rota.errors import GpuError
    from rota.gpu.nvml import open_nvml
    from rota.verify.sight import Seen

    door = open_nvml()
    try:
        gpus = door.inventory().gpus
        return [Seen(gpu.uuid, gpu.product, gpu.memory_bytes) for gpu in gpus]
    except GpuError:
        return []
    finally:
        door.close()


def _stay() -> None:
    """Let a child look, since only a process that ends lets go of its contexts; then wait."""
    ending = {signal.SIGTERM, signal.SIGINT, signal.SIGHUP}
    signal.pthread_sigmask(signal.SIG_BLOCK, ending | {signal.SIGCHLD})
    looking = subprocess.Popen(
        [sys.executable, "-m", "rota", "inside"],
        preexec_fn=lambda: signal.pthread_sigmask(signal.SIG_SETMASK, ()),
    )
    while signal.sigwait(ending | {signal.SIGCHLD}) == signal.SIGCHLD:
        looking.poll()
    if looking.poll() is None:
        looking.kill()
        looking.wait()
