"""Programs for a real NVIDIA GPU: `python -m rota.gpu.workload trainer|server|notebook|hog`.

The same programs as `rota.emulation.workloads`, with a small PTX kernel for the work.
"""

from __future__ import annotations

from rota.gpu import program
from rota.gpu.spin import SpinDevice


def main() -> None:
    """The command line; see `--help`."""
    program.main("rota-workload", SpinDevice, emulated=False)


if __name__ == "__main__":
    main()
