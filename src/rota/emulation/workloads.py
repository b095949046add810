"""Programs for an emulated GPU: `python -m rota.emulation.workloads trainer|server|notebook|hog`.

They run on the first device that their environment makes visible, as a CUDA program does.
"""

from __future__ import annotations

from rota.emulation import cuda
from rota.gpu import program


def main() -> None:
    """The command line; see `--help`."""
    program.main("rota-workload", lambda: cuda.init().context(0), emulated=True)


if __name__ == "__main__":
    main()
