"""A node as `rota top` might meet it."""

from __future__ import annotations

from dataclasses import replace

from rota.figures.model import ClientFigures, GpuFigures, Kind, ProcessFigures, Snapshot, State

GIB = 1 << 30
H200 = GpuFigures(
    "GPU-0", 0, product="NVIDIA H200", replicas=4, holder="research/gpu-test-76d5c7bdf-abcde/main",
    waiting=("research/gpu-test-76d5c7bdf-fghij/main",), utilization=0.93,
    memory_total_bytes=140 * GIB, memory_used_bytes=120 * GIB, ballast_bytes=60 * GIB,
    temperature_celsius=61.0, power_watts=412.0, power_limit_watts=700.0,
)  # fmt: skip


def pod(name: str, state: State = State.IDLE, **more: object) -> ClientFigures:
    made = ClientFigures(
        f"research/{name}/main", "GPU-0", Kind.POD, "research", name, "main", state=state,
        share=0.25, utilization=0.25, memory_bytes=20 * GIB, memory_limit_bytes=35 * GIB,
        wait_p95=0.302, processes=(ProcessFigures(4711, 20 * GIB),),
    )  # fmt: skip
    return replace(made, **more)  # type: ignore[arg-type]


def node(*clients: ClientFigures, gpus: tuple[GpuFigures, ...] = (H200,), **more: object) -> Snapshot:  # fmt: skip
    made = Snapshot(1_700_000_000.0, "node-1", False, "580", True, gpus, clients)
    return replace(made, **more)  # type: ignore[arg-type]


NODE = node(
    pod("gpu-test-76d5c7bdf-abcde", State.TURN, utilization=0.40),
    pod("gpu-test-76d5c7bdf-fghij", State.WAITS, utilization=0.30, wait_p95=1.25),
    pod("notebook-0", State.IDLE, utilization=0.0, memory_bytes=GIB, namespace="teaching"),
    pod("sim", State.UNGATED, why="three closes failed in a row", wait_p95=None),
)
