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
import struct
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
    tell_wrong(device, pieces, lambda piece, number: read(piece) != content(number))


def occupant(device: WorkDevice) -> None:
    """As a notebook, for a lot of memory: filled by the GPU, and looked at in part.

    Each piece holds a number of its own. Its first and last kilobytes and some between are compared.
    """
    order = asked()
    count = int(order["bytes"]) // STEP
    pieces: list[Any] = []
    refused = 0
    while len(pieces) < count:
        piece = try_to_take(device, STEP)
        if piece is None:
            refused += 1
            break
        fill(device, piece, len(pieces))
        pieces.append(piece)
    say(filled=len(pieces) * STEP, refused=refused)
    tell_wrong(device, pieces, samples_wrong)


def tell_wrong(device: WorkDevice, pieces: list[Any], wrong_in: Callable[[Any, int], int]) -> None:
    """Each time that it is asked: work, and say how long that took and how many pieces are wrong."""
    while True:
        asked()
        begun = time.monotonic()
        device.launch(0.001)
        device.synchronize()
        back = time.monotonic() - begun
        looked_at = [] if isinstance(device, Context) else pieces
        wrong = sum(wrong_in(piece, number) for number, piece in enumerate(looked_at))
        say(wrong=wrong, pieces=len(pieces), seconds=back)


def samples_wrong(piece: Any, number: int) -> int:
    """How many of two looks at a piece, all over it and at its end, find another number."""
    all_over = all(sample(piece, at) == number + 1 for at in range(0, STEP, STEP // 16))
    return (not all_over) + (sample(piece, STEP - 1024) != number + 1)


def fill(device: WorkDevice, piece: Any, number: int) -> None:
    """Every word of it is that number, plus one."""
    if not isinstance(device, Context):
        from rota.gpu.cuda import checked, load

        checked("cuMemsetD32", load().cuMemsetD32(piece, number + 1, STEP // 4))


def sample(piece: Any, at: int) -> int:
    """The number that fills a kilobyte of it; 0 if there are several."""
    from rota.gpu.cuda import checked, load

    data = bytearray(1024)
    address = ctypes.addressof(ctypes.c_char.from_buffer(data))
    checked("cuMemcpyDtoH", load().cuMemcpyDtoH(address, int(piece) + at, 1024))
    words = set(struct.unpack("256I", data))
    return words.pop() if len(words) == 1 else 0


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
    "occupant": occupant,
}


def main() -> None:
    kind = sys.argv[1]
    if kind == "starter":
        asked()
        starter()
    else:
        if "late" in sys.argv[2:]:  # whoever sees a start before its context is told now
            say(begins=True)
            asked()
        device = open_device()
        say(ready=True, pid=os.getpid(), product=device.product)
        PROGRAMS[kind](device)
    asked()


if __name__ == "__main__":
    main()
