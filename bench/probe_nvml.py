"""Prints everything that the NVML door reads on this machine, with what each call costs.

Run it where a real GPU is, and keep what it prints: it is how the door is held against a driver.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import asdict
from functools import partial

from rota.errors import GpuError
from rota.gpu.deadline import DeadlineInventory
from rota.gpu.doors import InventoryDoor
from rota.gpu.nvml import NvmlInventory
from rota.model import Gpu

REPEAT = 20


def main() -> None:
    door = DeadlineInventory(NvmlInventory(say=lambda said: print(f"said: {said}")), 20.0)
    inventory = door.inventory()
    print(json.dumps(asdict(inventory), indent=2))
    show("inventory", lambda: len(door.inventory().gpus))
    for gpu in inventory.gpus:
        print(f"GPU {gpu.index}: family {gpu.family}")
        figures(door, gpu)
    show("wait_event of 0.2 s", lambda: door.wait_event(0.2), repeat=2)
    door.close()


def figures(door: InventoryDoor, gpu: Gpu) -> None:
    show("memory", lambda: door.memory(gpu.uuid))
    show("processes", lambda: door.processes(gpu.uuid))
    show("utilization", lambda: door.utilization(gpu.uuid))
    show("accounts", lambda: door.accounts(gpu.uuid))
    show("needs_recovery", lambda: repr(door.needs_recovery(gpu.uuid)))
    for mig in gpu.mig_devices:
        show(f"memory of {mig.profile}", partial(door.memory, mig.uuid))


def show(name: str, call: Callable[[], object], repeat: int = REPEAT) -> None:
    """One answer, and the median and worst of `repeat` calls, in milliseconds."""
    try:
        answer, spent = call(), []
        for _ in range(repeat):
            begun = time.perf_counter()
            call()
            spent.append((time.perf_counter() - begun) * 1000)
    except GpuError as error:
        print(f"  {name}: {error}")
        return
    spent.sort()
    print(f"  {name}: {answer} [median {spent[len(spent) // 2]:.3f} ms, worst {spent[-1]:.3f} ms]")


if __name__ == "__main__":
    try:
        main()
    except GpuError as error:
        raise SystemExit(str(error)) from None
