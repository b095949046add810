"""Writes the files that are made from the code: the one way in which all of them are."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path


def write(files: Mapping[str, str]) -> None:
    """Write files below the folder that the command line names, or the current one, and say so.

    Args:
        files: path below that folder → text.
    """
    root = Path(sys.argv[1]) if len(sys.argv) > 1 else Path()
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        sys.stdout.write(f"made {name}\n")
