"""The programs of `bench/memory.py`: `python bench/memory_programs.py greedy|thrifty|…`.

Each says one line of JSON when it is on the GPU, does what its line on standard input says, and
says what came of it. They run on a real GPU by the driver alone, or on an emulated one.
"""

from __future__ import annotations

import ctypes
import json
import os
import random
import select
import sys
import time
from collections.abc import Callable
from typing import Any

from rota.emulation import layout
from rota.emulation.cuda import Context
from rota.errors import GpuError
from rota.gpu.work import WorkDevice

MIB = 2**20
STEP = 64 * MIB


def open_device() -> WorkDevice:
    """The first GPU that is visible."""
    if layout.from_environment():
        from rota.emulation import cuda

        return cuda.init().context(0)
    from rota.gpu.spin import SpinDevice

    return SpinDevice()


def is_full(error: GpuError) -> bool:
    """The GPU has not that much memory left: what a framework calls out of memory."""
    return "out of memory" in str(error) or "OUT_OF_MEMORY" in str(error)


def say(**fields: Any) -> None:
    print(json.dumps(fields), flush=True)


def asked() -> dict[str, Any]:
    """What standard input wants next; ends the program when nobody wants anything any more."""
    line = sys.stdin.readline()
    if not line:
        sys.exit()
    order: dict[str, Any] = json.loads(line)
    return order


def try_to_take(device: WorkDevice, size: int) -> Any | None:
    """A handle, or None where the GPU is full."""
    try:
        return device.malloc(size)
    except GpuError as error:
        if is_full(error):
            return None
        raise


def greedy(device: WorkDevice) -> None:
    """Take until refused, again and again, until told to end."""
    asked()
    had = refusals = 0
    slowest = 0.0
    while not select.select([sys.stdin], [], [], 0)[0]:
        begun = time.monotonic()
        handle = try_to_take(device, STEP)
        if handle is None:
            refusals += 1
            slowest = max(slowest, time.monotonic() - begun)
            device.launch(0.001)
            device.synchronize()
        else:
            had += STEP
    say(had=had, refusals=refusals, slowest=slowest)


def thrifty(device: WorkDevice) -> None:
    """Take and give back inside a room, so many times, working in between."""
    order = asked()
    room, count, chance = int(order["room"]), int(order["count"]), random.Random(order["seed"])
    held: list[tuple[Any, int]] = []
    failed: list[int] = []
    for _ in range(count):
        device.launch(0.0005)
        device.synchronize()
        while held and (sum(size for _, size in held) > room * 7 // 8 or chance.random() < 0.3):
            device.free(held.pop(chance.randrange(len(held)))[0])
        size = chance.randrange(2, max(3, room // 8 // MIB)) * MIB
        handle = try_to_take(device, size)
        if handle is None:
            failed.append(size)
        else:
            held.append((handle, size))
    say(taken=count, failed=failed)


def starter() -> None:
    """Say when CUDA is initialized and when there is a context."""
    begun = time.monotonic()
    try:
        device = open_device()
    except GpuError as error:
        say(context=False, why=str(error), seconds=time.monotonic() - begun)
        return
    say(context=True, seconds=time.monotonic() - begun, product=device.product)


def notebook(device: WorkDevice) -> None:
    """Fill memory with what only this program knows, and tell whether it is still all there."""
    order = asked()
    pieces = [device.malloc(STEP) for _ in range(int(order["bytes"]) // STEP)]
    for number, piece in enumerate(pieces):
        write(device, piece, number)
    say(filled=len(pieces) * STEP)
    while True:
        asked()
        begun = time.monotonic()
        device.launch(0.001)
        device.synchronize()
        back = time.monotonic() - begun
        wrong = 0
        for number, piece in enumerate(pieces if not isinstance(device, Context) else []):
            wrong += read(piece) != content(number)
        say(wrong=wrong, pieces=len(pieces), seconds=back)


def unfit(device: WorkDevice) -> None:
    """Hold what cannot be checkpointed.

    On a real GPU that is memory another process could open (drivers before 610 refuse it), on an
    emulated one memory that wanders between host and device.
    """
    asked()
    if isinstance(device, Context):
        device.malloc_managed(MIB)
    else:
        from rota.gpu.cuda import checked, load

        checked("cuIpcGetMemHandle", load().cuIpcGetMemHandle(device.malloc(STEP)))
    say(unfit=True)


def content(number: int) -> bytes:
    """What a piece with this number holds."""
    return random.Random(number).randbytes(STEP // 64) * 64


def write(device: WorkDevice, piece: Any, number: int) -> None:
    """Fill a piece. Memory of an emulated GPU has no content."""
    if not isinstance(device, Context):
        from rota.gpu.cuda import checked, load

        checked("cuMemcpyHtoD", load().cuMemcpyHtoD(piece, content(number), STEP))


def read(piece: Any) -> bytes:
    """What is there now, on a real GPU."""
    from rota.gpu.cuda import checked, load

    data = bytearray(STEP)
    address = ctypes.addressof(ctypes.c_char.from_buffer(data))
    checked("cuMemcpyDtoH", load().cuMemcpyDtoH(address, piece, STEP))
    return bytes(data)


PROGRAMS: dict[str, Callable[[WorkDevice], None]] = {
    "greedy": greedy,
    "thrifty": thrifty,
    "notebook": notebook,
    "unfit": unfit,
}


def main() -> None:
    kind = sys.argv[1]
    if kind == "starter":
        asked()
        starter()
    else:
        device = open_device()
        say(ready=True, pid=os.getpid(), product=device.product)
        PROGRAMS[kind](device)
    asked()


if __name__ == "__main__":
    main()
