"""`python -m rota.bench.program WORKLOAD RATE KIND …`: one program of a scenario.

With `rate` for the kind it only says how many rounds make a second on this device, and ends.
"""

from __future__ import annotations

import json
import sys

from rota.bench.devices import EMULATED, WORKLOADS, open_device, rate_of
from rota.errors import RotaError
from rota.gpu import program


def main() -> None:
    """The command line. The kinds and their options are those of `rota.gpu.program`."""
    workload, rate, *arguments = sys.argv[1:]
    if workload not in WORKLOADS:
        sys.exit(f"rota bench: no such workload: {workload}")
    if arguments == ["rate"]:
        _say_rate(workload)
        return
    program.main(
        "rota-bench-program",
        lambda: open_device(workload, float(rate)),
        emulated=workload == EMULATED,
        arguments=arguments,
    )


def _say_rate(workload: str) -> None:
    try:
        device = open_device(workload, 0.0)
    except RotaError as error:
        sys.exit(str(error))
    print(json.dumps({"rate": rate_of(device), "product": device.product, "uuid": device.uuid}))


if __name__ == "__main__":
    main()
