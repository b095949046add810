"""Limits of memory and paging on this machine's GPU: what holds, and what it costs.

    python bench/memory.py [--emulate h200] [--out FILE] [SECTION…]

Prints each finding as it is had, and writes them as JSON to FILE (default: $OUT/memory.json, or
./memory.json). Needs nothing but this repository, cuda-bindings and nvidia-ml-py; takes less than
three minutes. Exit 1 if something that must hold did not.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "src"), str(ROOT)]

from bench import memory_limits, memory_pages  # noqa: E402
from bench.memory_stage import Bench, Failed  # noqa: E402
from rota.emulation import driver  # noqa: E402
from rota.emulation.profiles import parse_emulation  # noqa: E402
from rota.errors import RotaError  # noqa: E402
from rota.gatekeeper.doors import memory_doors  # noqa: E402
from rota.gatekeeper.supervisor import Supervisor  # noqa: E402

SECTIONS: dict[str, Callable[[Bench], Awaitable[None]]] = {
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


async def play(profile: str, sections: Sequence[str]) -> dict[str, Any]:
    async with set_up(profile) as bench:
        for name in sections:
            begun = time.monotonic()
            try:
                await SECTIONS[name](bench)
            except (Failed, RotaError, OSError, AssertionError, KeyError, TimeoutError) as error:
                bench.failures.append(f"{name}: {type(error).__name__}: {error}")
                print(f"{name:<22} FAILED: {type(error).__name__}: {error}", flush=True)
            bench.clear()
            print(f"{'':<22} [{time.monotonic() - begun:.1f} s]", flush=True)
        return {"findings": bench.findings, "failures": bench.failures}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("sections", nargs="*", metavar="SECTION", help=", ".join(SECTIONS))
    parser.add_argument("--emulate", default="", metavar="PROFILE")
    parser.add_argument(
        "--out", type=Path, default=Path(os.environ.get("OUT", ".")) / "memory.json"
    )
    given = parser.parse_args()
    sections = given.sections or list(SECTIONS)
    if unknown := [name for name in sections if name not in SECTIONS]:
        parser.error(f"no section {unknown[0]}: {', '.join(SECTIONS)}")
    document = asyncio.run(play(given.emulate, sections))
    given.out.write_text(json.dumps(document, indent=2, default=str) + "\n")
    print(f"{len(document['failures'])} failures; {given.out}")
    sys.exit(bool(document["failures"]))


if __name__ == "__main__":
    main()
