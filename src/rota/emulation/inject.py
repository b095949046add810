"""Breaks an emulated GPU: `python -m rota.emulation.inject FOLDER --gpu 0 --xid 79`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from rota.emulation import layout
from rota.emulation.link import Link
from rota.errors import RotaError, UsageError


def inject(
    folder: Path, gpu: str, *, xid: int | None = None, action: str | None = None, detail: str = ""
) -> None:
    """Report an Xid on a GPU (by index or UUID), or set the recovery action that it asks for.

    Raises:
        GpuError: no engine lives there, or it has no such GPU.
    """
    gpus = {str(each.index): each.uuid for each in layout.read_inventory(folder).gpus}
    link = Link(folder)
    try:
        link.ask("inject", device=gpus.get(gpu, gpu), xid=xid, action=action, detail=detail)
    finally:
        link.close()


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m rota.emulation.inject", description=__doc__)
    parser.add_argument("folder", type=Path, help="where the emulated GPU lives")
    parser.add_argument("--gpu", default="0", help="index or UUID (default 0)")
    parser.add_argument("--xid", type=int, help="NVIDIA's error number, such as 79")
    parser.add_argument(
        "--recovery", help="what the driver asks for: reset, reboot, …; '' for nothing"
    )
    parser.add_argument("--detail", default="", help="one sentence for the log")
    given = parser.parse_args(arguments)
    try:
        if given.xid is None and given.recovery is None:
            raise UsageError("nothing to inject", hint="give --xid or --recovery")
        inject(given.folder, given.gpu, xid=given.xid, action=given.recovery, detail=given.detail)
    except RotaError as error:
        sys.exit(f"rota: {error}")


if __name__ == "__main__":
    main()
