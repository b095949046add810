"""Paging on this machine's GPU: who goes to host memory and comes back, and what is refused.

    python bench/paging.py [--emulate h200] [--out FILE] [SECTION…]

Prints each finding as it is had, and writes them as JSON to FILE (default: $OUT/paging.json, or
./paging.json). Needs nothing but this repository, cuda-bindings and nvidia-ml-py; takes some two
minutes. Exit 1 if something that must hold did not.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "src"), str(ROOT)]

from bench import paging_ends, paging_turns  # noqa: E402
from bench.memory import set_up  # noqa: E402
from bench.memory_stage import Bench, Section, command  # noqa: E402
from rota.errors import RotaError  # noqa: E402

SECTIONS: dict[str, Section] = {
    "idle": paging_turns.idle,
    "pause": paging_turns.pause,
    "refusals": paging_ends.refusals,
    "killed-out": paging_ends.killed_out,
    "killed-in": paging_ends.killed_in,
    "rotate": paging_turns.rotate,
}


async def _tell_state(bench: Bench) -> None:
    """What the gatekeeper says, where something went wrong."""
    try:
        state = await bench.supervisor.state()
    except RotaError as error:
        state = {"error": str(error)}
    bench.findings.setdefault("states", []).append(state)
    told = {key: state.get(key) for key in ("off", "paging", "gpus", "error")}
    print(json.dumps(told, indent=1, default=str), flush=True)


if __name__ == "__main__":
    command(__doc__, "paging.json", set_up, SECTIONS, _tell_state)
