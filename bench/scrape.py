"""What a scrape costs: 8 GPUs with 32 clients each, made up, on this machine.

    python bench/scrape.py

Timed is all that a scrape does in the agent, less the driver's and the gatekeeper's answers: from
what is known to the text that Prometheus reads.
"""

from __future__ import annotations

import statistics
import sys
import time

from rota.clients.picture import ClientOnGpu, Picture, ProcessKey
from rota.figures.compose import Known, compose
from rota.figures.exposition import exposition
from rota.figures.facts import Facts
from rota.figures.fares import GateState
from rota.figures.model import OwnFigures
from rota.figures.readings import Reading
from rota.figures.seconds import GpuSeconds
from rota.figures.waits import AllWaits
from rota.figures.wire import to_json
from rota.gpu.vitals import Vitals
from rota.model import Gpu, GpuMemory, Replica
from rota.scheduling.log import Turn
from rota.scheduling.terms import Why

GPUS, CLIENTS, TURNS = 8, 32, 64
ENDS = (Why.EXPIRED, Why.YIELDED, Why.PREEMPTED)


def name(gpu: int, client: int) -> str:
    return f"team-{client % 4}/worker-{gpu}-{client}/main"


def uuid(gpu: int) -> str:
    return f"GPU-97d443a5-366f-5e66-8654-b68bce86e8{gpu:02d}"


def node() -> tuple[Known, GpuSeconds, AllWaits]:
    """A full node: every client has had turns, and has a process."""
    gpus = tuple(Gpu(uuid(i), i, i, "NVIDIA H200", 141 << 30, (9, 0)) for i in range(GPUS))
    clients = tuple(on_gpu(g, c) for g in range(GPUS) for c in range(CLIENTS))
    turns = [turn(g, c, n) for n in range(TURNS) for g in range(GPUS) for c in range(CLIENTS)]
    seconds, waits = GpuSeconds(), AllWaits()
    seconds.ended(turns)
    waits.ended(turns)
    told = {
        "at": 400.0,
        "wall": 1.7e9,
        "clients": {
            one.client: {
                "fares": {one.gpu: {"wants": True, "open": False, "waits": 399.0, "beside": 31}},
                "calls": {"open": [64, 0.02], "close": [64, 0.1], "failures": 0},
            }
            for one in clients
        },
    }
    replicas = {gpu.uuid: CLIENTS for gpu in gpus}
    facts = Facts("node", gpus=gpus, replicas=replicas, picture=Picture(clients))
    reading = Reading(GpuMemory(141 << 30, 90 << 30, 51 << 30), {}, None, Vitals(41.0, 312.0))
    readings = {gpu.uuid: reading for gpu in gpus}
    return Known(1.7e9, facts, GateState(told), readings, {}, OwnFigures()), seconds, waits


def on_gpu(gpu: int, client: int) -> ClientOnGpu:
    namespace, pod, container = name(gpu, client).split("/")
    labels = (("namespace", namespace), ("pod", pod), ("container", container))
    process = ProcessKey(1000 + gpu * CLIENTS + client, 1)
    return ClientOnGpu(
        name(gpu, client), uuid(gpu), (Replica(uuid(gpu), client),), (process,), labels
    )


def turn(gpu: int, client: int, number: int) -> Turn:
    start = 300.0 + number * 3.2 + client * 0.1
    why = ENDS[number % len(ENDS)]
    return Turn(name(gpu, client), uuid(gpu), start, start + 0.1, why, 3.1, 0.002, 0.1)


def times(repeats: int) -> tuple[list[float], int, int]:
    """Seconds of processor time of each scrape, its series, and its bytes."""
    known, seconds, waits = node()
    taken, text = [], b""
    for _ in range(repeats):
        begun = time.process_time()
        text = exposition(compose(known, seconds, waits), dcgm_names=True)
        taken.append(time.process_time() - begun)
    series = sum(1 for line in text.splitlines() if not line.startswith(b"#"))
    return taken, series, len(text)


def main() -> None:
    taken, series, size = times(40)
    known, seconds, waits = node()
    state = len(to_json(compose(known, seconds, waits)))
    sys.stdout.write(
        f"{GPUS} GPUs x {CLIENTS} clients: {series} series, {size / 1024:.0f} KiB; a scrape takes "
        f"{statistics.median(taken) * 1000:.0f} ms at the median, "
        f"{max(taken) * 1000:.0f} ms at most of {len(taken)}; "
        f"/api/v1/state is {state / 1024:.0f} KiB\n"
    )


if __name__ == "__main__":
    main()
