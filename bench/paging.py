"""Paging on this machine's GPU: who goes to host memory and comes back, and what is refused.

    python bench/paging.py [--emulate h200] [--out FILE] [SECTION…]

Prints each finding as it is had, and writes them as JSON to FILE (default: $OUT/paging.json, or
./paging.json). Needs nothing but this repository, cuda-bindings and nvidia-ml-py; takes some two
minutes. Exit 1 if something that must hold did not.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "src"), str(ROOT)]

from bench import paging_ends, paging_turns  # noqa: E402
from bench.memory import set_up  # noqa: E402
from bench.memory_stage import Bench, Failed  # noqa: E402
from rota.errors import RotaError  # noqa: E402

SECTIONS: dict[str, Callable[[Bench], Awaitable[None]]] = {
    "idle": paging_turns.idle,
    "pause": paging_turns.pause,
    "refusals": paging_ends.refusals,
    "killed-out": paging_ends.killed_out,
    "killed-in": paging_ends.killed_in,
    "rotate": paging_turns.rotate,
}


async def play(profile: str, sections: Sequence[str]) -> dict[str, Any]:
    async with set_up(profile) as bench:
        for name in sections:
            begun = time.monotonic()
            try:
                await SECTIONS[name](bench)
            except (Failed, RotaError, OSError, AssertionError, KeyError, TimeoutError) as error:
                bench.failures.append(f"{name}: {type(error).__name__}: {error}")
                print(f"{name:<22} FAILED: {type(error).__name__}: {error}", flush=True)
                await _tell_state(bench)
            bench.clear()
            print(f"{'':<22} [{time.monotonic() - begun:.1f} s]", flush=True)
        return {"findings": bench.findings, "failures": bench.failures}


async def _tell_state(bench: Bench) -> None:
    """What the gatekeeper says, where something went wrong."""
    try:
        state = await bench.supervisor.state()
    except RotaError as error:
        state = {"error": str(error)}
    bench.findings.setdefault("states", []).append(state)
    told = {key: state.get(key) for key in ("off", "paging", "gpus", "error")}
    print(json.dumps(told, indent=1, default=str), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("sections", nargs="*", metavar="SECTION", help=", ".join(SECTIONS))
    parser.add_argument("--emulate", default="", metavar="PROFILE")
    parser.add_argument(
        "--out", type=Path, default=Path(os.environ.get("OUT", ".")) / "paging.json"
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
