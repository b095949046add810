"""What the device plugin costs on this machine: `python bench/plugin.py [--quick] [--json FILE]`.

The agent is the real one, in a process of its own, with an emulated T4; the kubelet is the embedded
one, in this process; they and the client that is timed talk over real unix sockets. One idle
kubelet watches the listing all the while, as on a node.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from bench import machine
from bench.agent import QUICK, Counts, help_times, measure
from bench.figures import Figures

REPLICAS = (4, 1024)


def main() -> None:
    """Measure, print the table, and keep the figures where asked."""
    options = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    options.add_argument(
        "--quick", action="store_true", help="once and little, to see that it works"
    )
    options.add_argument("--json", type=Path, metavar="FILE", help="write every value there")
    given = options.parse_args()
    counts = QUICK if given.quick else Counts()
    begun, figures = machine.load(), Figures()
    help_times(counts, figures)
    asyncio.run(_rounds(counts, figures))
    document = _document(counts, figures, (begun, machine.load()))
    if given.json:
        given.json.write_text(json.dumps(document, indent=1) + "\n")
    print(_text(document, figures))


async def _rounds(counts: Counts, figures: Figures) -> None:
    for number in range(counts.rounds):
        for replicas in REPLICAS:
            print(f"round {number + 1}/{counts.rounds}, {replicas} replicas …", file=sys.stderr)
            await measure(replicas, counts, figures)


def _document(counts: Counts, figures: Figures, load: tuple[float, float]) -> dict[str, Any]:
    return {
        "machine": machine.describe(),
        "load": {"before": load[0], "after": load[1]},
        "counts": {name: getattr(counts, name) for name in counts.__slots__},
        "figures": figures.document(),
    }


def _text(document: dict[str, Any], figures: Figures) -> str:
    load, counts = document["load"], document["counts"]
    return (
        f"{machine.sentence(document['machine'])}\n\n"
        f"{counts['rounds']} rounds, {counts['calls']} calls of Allocate in each; load average "
        f"{load['before']} before and {load['after']} after (the bench itself is part of it).\n\n"
        f"{figures.table()}"
    )


if __name__ == "__main__":
    main()
