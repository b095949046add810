"""The demo's pods: what they run, whose GPU process is whose, and what each of them uses."""

from __future__ import annotations

import sys
import time
from collections import deque
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

from rota.demo.report import PodUse, Usage
from rota.demo.stage import Stage
from rota.demo.timeline import lane
from rota.errors import RotaError
from rota.gatekeeper.client import read_turns
from rota.kubelet.embedded import ContainerSpec, PodSpec, PodStatus
from rota.scheduling.log import Turn

CONTAINER = "cuda-container"

SHOWN = 2.0
"""Seconds of turns that are drawn."""

LANE = 40
"""Characters that they are drawn with."""

LARGEST = 3
"""Pods hold 1, 2 or 3 parts of memory, so that their bars differ."""


def pod(name: str, resource: str, count: int, command: tuple[str, ...]) -> PodSpec:
    """A pod of one container that asks for so many replicas."""
    container = ContainerSpec(CONTAINER, command, limits={resource: count})
    return PodSpec(name, (container,), restart_policy="Never", termination_grace_seconds=3)


def command(emulated: bool, memory_bytes: int) -> tuple[str, ...]:
    """A program that keeps its GPU busy and holds so much of its memory."""
    module = "rota.emulation.workloads" if emulated else "rota.gpu.workload"
    return (sys.executable, "-m", module, "trainer", "--memory", str(memory_bytes))


def memory_of(index: int, gpu_memory: int, pods: int) -> int:
    """How much memory the pod with this index takes: all together stay under half of the GPU."""
    part = gpu_memory // (2 * LARGEST * max(pods, 1))
    return (1 + index % LARGEST) * part


def children() -> Mapping[int, int]:
    """Every process of this machine with its parent, from /proc."""
    parents: dict[int, int] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            try:
                fields = (entry / "stat").read_text(errors="replace").rpartition(")")[2].split()
                parents[int(entry.name)] = int(fields[1])
            except (OSError, IndexError, ValueError):
                continue
    return parents


def owner(pid: int, mains: Mapping[int, str], parents: Mapping[int, int]) -> str:
    """The pod whose main process is `pid` or above it; empty where there is none."""
    while pid > 1:
        if pid in mains:
            return mains[pid]
        pid = parents.get(pid, 0)
    return ""


@dataclass(slots=True)
class Meter:
    """Measures pods from sample to sample.

    Attributes:
        stage: where they run.
        begin: each pod's GPU seconds when it was first seen.
        before: and at the last sample.
        turns: those of the last seconds.
        next: number of the first turn that is not among them yet.
    """

    stage: Stage
    begin: dict[str, float] = field(default_factory=dict)
    before: dict[str, float] = field(default_factory=dict)
    turns: deque[Turn] = field(default_factory=lambda: deque(maxlen=256))
    next: int = 0

    def sample(self, seconds: float) -> Usage:
        """Every pod now; `part` is of the `seconds` since the last sample."""
        statuses = self.stage.kubelet.pods()
        seconds_of, memory_of = self._by_pod(statuses)
        uses = []
        for status in statuses:
            total = seconds_of.get(status.name, 0.0)
            first = self.begin.setdefault(status.name, total)
            part = (total - self.before.get(status.name, total)) / seconds if seconds else 0.0
            self.before[status.name] = total
            memory = memory_of.get(status.name, 0)
            uses.append(
                PodUse(
                    status.name, replica_of(status), state_of(status), total - first, memory, part
                )
            )
        whole = max(gpu.memory_bytes for gpu in self.stage.inventory.gpus)
        return Usage(tuple(uses), seconds, whole)

    def with_lanes(self, usage: Usage) -> Usage:
        """The same sample with each pod's turns of the last seconds drawn, if there are any."""
        with suppress(RotaError):
            self.next, page = read_turns(self.stage.folder / "run", self.next)
            self.turns.extend(page)
        now = time.monotonic()
        if not any(turn.end > now - SHOWN for turn in self.turns):
            return usage
        lanes = (
            lane(self.turns, f"default/{pod.name}/{CONTAINER}", now - SHOWN, now, LANE)
            for pod in usage.pods
        )
        shown = tuple(
            replace(pod, lane=drawn) for pod, drawn in zip(usage.pods, lanes, strict=True)
        )
        return replace(usage, pods=shown)

    def average(self, usage: Usage, seconds: float) -> Usage:
        """The same sample with each pod's part of the GPU over all `seconds`."""
        whole = (replace(pod, part=pod.gpu_seconds / seconds) for pod in usage.pods)
        return replace(usage, pods=tuple(whole), seconds=seconds)

    def _by_pod(self, statuses: Iterable[PodStatus]) -> tuple[dict[str, float], dict[str, int]]:
        mains = {s.container().pid: s.name for s in statuses}
        known = {pid: name for pid, name in mains.items() if pid is not None}
        parents = children()
        seconds: dict[str, float] = {}
        memory: dict[str, int] = {}
        for gpu in self.stage.inventory.gpus:
            for pid, used in self.stage.gpu.accounts(gpu.uuid).items():
                if name := owner(pid, known, parents):
                    seconds[name] = seconds.get(name, 0.0) + used
            for process in self.stage.gpu.processes(gpu.uuid):
                if name := owner(process.pid, known, parents):
                    memory[name] = memory.get(name, 0) + process.memory_bytes
        return seconds, memory


def replica_of(status: PodStatus) -> str:
    """The ids that the pod holds."""
    return ",".join(i for ids in status.container().devices.values() for i in ids)


def state_of(status: PodStatus) -> str:
    """`waiting` for a pod that found no room, else the phase in small letters."""
    if status.phase == "Pending" and status.reason == "Unschedulable":
        return "waiting"
    return status.phase.lower()
