"""One round with one agent: started, called, edited, left alone, and met by a new kubelet."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from bench import proc
from bench.client import allocations, edits
from bench.figures import Figures
from rota.demo.stage import Stage, set_up
from rota.emulation import driver
from rota.emulation.profiles import parse_emulation
from rota.kubelet.sockets import socket_name

GPU = "nvidia.com/gpu"
EMULATED = "t4"
SETTLE = 2.0
"""Seconds until an agent that has just started is taken to be idle."""


@dataclass(frozen=True, slots=True)
class Counts:
    """How much is measured.

    Attributes:
        rounds: how often everything is done.
        calls: of Allocate, in each round and for each number of replicas.
        edits: of the config, in each round.
        restarts: of the kubelet, in each round.
        idle: seconds of looking at an agent that does nothing, in each round.
        helps: runs of `rota --help`, in all.
    """

    rounds: int = 5
    calls: int = 10_000
    edits: int = 6
    restarts: int = 4
    idle: float = 20.0
    helps: int = 20


QUICK = Counts(rounds=1, calls=50, edits=2, restarts=1, idle=0.5, helps=2)


def sharing(replicas: int) -> str:
    """A time-slicing config."""
    return (
        "version: v1\nsharing:\n  timeSlicing:\n    resources:\n"
        f"    - name: {GPU}\n      replicas: {replicas}\n"
    )


async def measure(replicas: int, counts: Counts, figures: Figures) -> None:
    """Everything that an agent costs at so many replicas.

    Allocate comes last: what was given out in the last seconds counts as held, so a config that
    takes it away would be waiting for a pod that never was.
    """
    async with set_up(sharing(replicas), EMULATED, parse_emulation(EMULATED)) as stage:
        begun = time.perf_counter()
        await stage.start_agent()
        await stage.until_allocatable(GPU, replicas)
        figures.add(f"start_{replicas}", time.perf_counter() - begun)
        figures.add(f"start_cpu_{replicas}", proc.seconds(proc.spent(stage.agent_pid)))
        await asyncio.sleep(SETTLE)
        _weigh(f"after_start_{replicas}", stage.agent_pid, figures)
        await _leave_alone(stage, replicas, counts, figures)
        await _edit(stage, replicas, counts, figures)
        await _restart_kubelet(stage, replicas, counts, figures)
        await _allocate(stage, replicas, counts, figures)


def help_times(counts: Counts, figures: Figures) -> None:
    """`rota --help`, from nothing to its end."""
    rota = Path(sys.executable).with_name("rota")
    for _ in range(counts.helps):
        begun = time.perf_counter()
        subprocess.run([rota, "--help"], check=True, stdout=subprocess.DEVNULL)
        figures.add("help", time.perf_counter() - begun)


def _weigh(name: str, pid: int, figures: Figures) -> None:
    rss, pss = proc.memory(pid)
    figures.add(f"rss_{name}", rss)
    figures.add(f"pss_{name}", pss)


async def _leave_alone(stage: Stage, replicas: int, counts: Counts, figures: Figures) -> None:
    """The agent, the gatekeeper that it started, and the emulated GPU, each by itself."""
    engine = driver.attach(stage.folder / "run" / "gpu")
    engine.close()
    gatekeeper = proc.child(stage.agent_pid, "gatekeeper")
    pids = (stage.agent_pid, gatekeeper, engine.pid)
    used = await asyncio.to_thread(proc.percent_of_a_core, pids, counts.idle)
    for name, percent in zip(("idle", "idle_gatekeeper", "idle_emulated_gpu"), used, strict=True):
        figures.add(f"{name}_{replicas}", percent)
    figures.add(f"rss_gatekeeper_{replicas}", proc.memory(gatekeeper)[0])


async def _allocate(stage: Stage, replicas: int, counts: Counts, figures: Figures) -> None:
    real, floor = await asyncio.to_thread(allocations, _socket(stage), counts.calls)
    for name, latency in (("allocate", real), ("floor", floor)):
        figures.add(f"{name}_p50_{replicas}", latency.at(0.5))
        figures.add(f"{name}_p99_{replicas}", latency.at(0.99))
    _weigh(f"after_calls_{replicas}", stage.agent_pid, figures)


async def _edit(stage: Stage, replicas: int, counts: Counts, figures: Figures) -> None:
    """One replica less, and back, by turns; the last edit leaves the config as it was."""
    wanted = [replicas - (number % 2) for number in range(1, counts.edits + 1)]
    texts = [(sharing(count), count) for count in wanted]
    for spent in await asyncio.to_thread(edits, _socket(stage), stage.config, texts):
        figures.add(f"edit_{replicas}", spent)
    await stage.until_allocatable(GPU, wanted[-1])


async def _restart_kubelet(stage: Stage, replicas: int, counts: Counts, figures: Figures) -> None:
    """From before a kubelet makes its socket to when it knows the replicas again."""
    for _ in range(counts.restarts):
        await stage.kubelet.stop()
        await asyncio.sleep(0.3)
        begun = time.perf_counter()
        await stage.kubelet.start()
        await stage.until_allocatable(GPU, replicas)
        figures.add(f"again_{replicas}", time.perf_counter() - begun)


def _socket(stage: Stage) -> Path:
    return stage.kubelet.plugin_socket.parent / socket_name(GPU)
