"""`python -m rota.gatekeeper --runtime FOLDER …`: the gatekeeper, on its own.

The same as `rota gatekeeper`, for whoever starts it for a program: nothing else is imported.
"""

from __future__ import annotations

import argparse
import sys
from functools import partial
from pathlib import Path

from rota.errors import RotaError
from rota.gatekeeper.doors import gate_door, memory_doors
from rota.gatekeeper.process import run


def main() -> None:
    """Run until ended; exit 1 with a sentence if that cannot be."""
    parser = argparse.ArgumentParser(prog="rota gatekeeper")
    parser.add_argument("--runtime", type=Path, required=True)
    parser.add_argument("--emulated", type=Path, help="the folder of an emulated GPU")
    parser.add_argument("--linger", type=float, help="end after so many seconds without an agent")
    given = parser.parse_args()
    try:
        memory = partial(memory_doors, given.emulated)
        run(given.runtime, gate_door(given.emulated), given.linger, memory)
    except RotaError as error:
        sys.exit(f"rota gatekeeper: {error}")


if __name__ == "__main__":
    main()
