"""What the device plugin costs on this machine: `python bench/plugin.py [--quick] [--json FILE]`.

The agent is the real one, in a process of its own, with an emulated T4; the kubelet is the embedded
one, in this process; they and the client that is timed talk over real unix sockets. One idle
kubelet watches the listing all the while, as on a node. Bytecode is kept, as it is where the agent
is installed, whatever the environment says; one start that is not counted makes it.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from bench import machine
from bench.agent import QUICK, Counts, help_times, measure
from bench.figures import Figures

ROOT = Path(__file__).resolve().parents[1]
REPLICAS = (4, 1024)


def main() -> None:
    """Measure, print the table, and keep the figures where asked."""
    options = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    options.add_argument(
        "--quick", action="store_true", help="once and little, to see that it works"
    )
    options.add_argument("--json", type=Path, metavar="FILE", help="write every value there")
    options.add_argument(
        "--beside",
        type=Path,
        metavar="CHECKOUT",
        help="measure its agent too, by turns, and compare",
    )
    given = options.parse_args()
    counts = QUICK if given.quick else Counts()
    begun, figures = machine.load(), Figures()
    other = Figures() if given.beside else None
    with tempfile.TemporaryDirectory(prefix="rota") as bytecode:
        os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
        os.environ["PYTHONPYCACHEPREFIX"] = bytecode
        for checkout, found in ((ROOT, figures), (given.beside, other)):
            if found is not None:
                _use(checkout)
                asyncio.run(measure(REPLICAS[0], QUICK, Figures()))
                help_times(counts, found)
        asyncio.run(_rounds(counts, figures, given.beside, other))
    document = _document(counts, figures, (begun, machine.load()))
    if other:
        document["beside"] = other.document()
    if given.json:
        given.json.write_text(json.dumps(document, indent=1) + "\n")
    print(_text(document, figures))
    if other:
        print(f"\nBeside {given.beside}, round by round:\n\n{figures.beside(other)}")


async def _rounds(
    counts: Counts, figures: Figures, checkout: Path | None, other: Figures | None
) -> None:
    """Each round for both, the other first every second time, so that neither has the better hour."""
    for number in range(counts.rounds):
        for replicas in REPLICAS:
            print(f"round {number + 1}/{counts.rounds}, {replicas} replicas …", file=sys.stderr)
            turns = [(ROOT, figures), (checkout, other)]
            for where, found in reversed(turns) if number % 2 else turns:
                if found is not None:
                    _use(where)
                    await measure(replicas, counts, found)


def _use(checkout: Path | None) -> None:
    """Agents that are started from now on are that checkout's."""
    os.environ["PYTHONPATH"] = str((checkout or ROOT).resolve() / "src")


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
