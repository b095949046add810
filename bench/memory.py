"""Limits of memory and paging on this machine's GPU: what holds, and what it costs.

    python bench/memory.py [--emulate h200] [--out FILE] [SECTION…]

Prints each finding as it is had, and writes them as JSON to FILE (default: $OUT/memory.json, or
./memory.json). Needs nothing but this repository, cuda-bindings and nvidia-ml-py; takes less than
three minutes. Exit 1 if something that must hold did not.
"""

from __future__ import annotations

import asyncio
import shutil
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "src"), str(ROOT)]

from bench import memory_limits, memory_pages  # noqa: E402
from bench.memory_stage import Bench, Section, command  # noqa: E402
from rota.emulation import driver  # noqa: E402
from rota.emulation.profiles import parse_emulation  # noqa: E402
from rota.gatekeeper.doors import memory_doors  # noqa: E402
from rota.gatekeeper.supervisor import Supervisor  # noqa: E402

SECTIONS: dict[str, Section] = {
    "pieces": memory_limits.pieces,
    "greedy": memory_limits.greedy,
    "alike": memory_limits.alike,
    "unlike": memory_limits.unlike,
    "endings": memory_limits.endings,
    "starters": memory_limits.starters,
    "page": memory_pages.page,
    "unfit": memory_pages.unfit,
    "killed": memory_pages.killed,
}


@asynccontextmanager
async def set_up(profile: str) -> AsyncIterator[Bench]:
    folder = Path(tempfile.mkdtemp(prefix="rota", dir="/tmp"))
    emulated = folder / "gpu" if profile else None
    emulation = driver.start(parse_emulation(profile), emulated) if emulated else None
    ballast, door = memory_doors(emulated)
    ballast.close()
    inventory = door.inventory()
    gpu = inventory.gpus[0]
    supervisor = Supervisor(folder / "run", emulated=emulated)
    keeping = asyncio.create_task(supervisor.run())
    environment = dict(emulation.environment) if emulation else {"CUDA_VISIBLE_DEVICES": gpu.uuid}
    bench = Bench(folder, gpu.uuid, door, emulated, environment, supervisor)
    emulation_note = " (emulated)" if profile else f", driver {inventory.driver_version}"
    bench.note("machine", f"{gpu.product}{emulation_note}", profile=profile, product=gpu.product)
    try:
        await bench.until(lambda: supervisor.pid, "a gatekeeper")
        yield bench
    finally:
        bench.clear()
        keeping.cancel()
        await asyncio.wait({keeping})
        door.close()
        if emulation:
            emulation.stop()
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    command(__doc__, "memory.json", set_up, SECTIONS)
