"""The demo's pods: what they run, and what each of them uses."""

from __future__ import annotations

import json
import sys
import time
from collections import defaultdict, deque
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path

from rota.clients.join import Sighting
from rota.clients.sightings import Place, Sightings
from rota.demo.report import PodUse, Usage
from rota.demo.stage import Stage
from rota.demo.timeline import lane
from rota.errors import RotaError
from rota.gatekeeper.client import read_turns
from rota.kubelet.embedded import ContainerSpec, EmbeddedKubelet, PodSpec, PodStatus
from rota.kubelet.embedded.spec import RestartPolicy
from rota.scheduling.log import Turn

CONTAINER = "cuda-container"

KERNEL = 0.02
"""Seconds that a pod's kernel runs when it has the GPU to itself; it then says so, and goes on."""

SHOWN = 2.0
"""Seconds of turns that are drawn."""

LANE = 34
"""Characters that they are drawn with."""

LARGEST = 3
"""Pods hold 1, 2 or 3 parts of memory, so that their bars differ."""


def pod(
    name: str, resource: str, count: int, command: tuple[str, ...], *, restart: bool = False
) -> PodSpec:
    """A pod of one container that asks for so many replicas; `restart`: as in a Deployment."""
    container = ContainerSpec(CONTAINER, command, limits={resource: count})
    policy: RestartPolicy = "Always" if restart else "Never"
    return PodSpec(name, (container,), restart_policy=policy, termination_grace_seconds=3)


def command(emulated: bool, memory_bytes: int) -> tuple[str, ...]:
    """A program that keeps its GPU busy and holds so much of its memory."""
    kernels = ("--kernel", f"{KERNEL * 1000:.0f}ms", "--report", "0s")
    return (*_program(emulated), "trainer", "--memory", str(memory_bytes), *kernels)


def greedy(emulated: bool, when: Path) -> tuple[str, ...]:
    """A program that works until that file is there, then takes all the memory that it can get."""
    return (*_program(emulated), "hog", "--when", str(when))


def _program(emulated: bool) -> tuple[str, ...]:
    module = "rota.emulation.workloads" if emulated else "rota.gpu.workload"
    return (sys.executable, "-m", module)


def memory_of(index: int, gpu_memory: int, pods: int) -> int:
    """How much memory the pod with this index takes: all together stay under half of the GPU."""
    part = gpu_memory // (2 * LARGEST * max(pods, 1))
    return (1 + index % LARGEST) * part


@dataclass(slots=True)
class Meter:
    """Measures pods from sample to sample.

    Attributes:
        stage: where they run.
        begin: each pod's GPU seconds when it was first seen.
        before: and at the last sample.
        turns: those of the last seconds.
        next: number of the first turn that is not among them yet.
        sightings: tells whose the processes are; made when the GPU is there.
    """

    stage: Stage
    begin: dict[str, float] = field(default_factory=dict)
    before: dict[str, float] = field(default_factory=dict)
    turns: deque[Turn] = field(default_factory=lambda: deque(maxlen=256))
    next: int = 0
    sightings: Sightings | None = None

    def sample(self, seconds: float) -> Usage:
        """Every pod now; `part` is of the `seconds` since the last sample."""
        statuses = self.stage.kubelet.pods()
        seconds_of, memory_of = self._by_pod()
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
        return Usage(tuple(uses), seconds)

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

    def kernels(self, since: float) -> list[float]:
        """How long each kernel took that ended after that moment, by the pods' own records."""
        took: list[float] = []
        for status in self.stage.kubelet.pods():
            if status.phase == "Running":
                text = self.stage.kubelet.log(status.namespace, status.name)
                took += durations(text, since)
        return took

    def _by_pod(self) -> tuple[dict[str, float], dict[str, int]]:
        """GPU seconds and memory of each pod's processes, on all GPUs."""
        seconds: defaultdict[str, float] = defaultdict(float)
        memory: defaultdict[str, int] = defaultdict(int)
        for gpu, sightings in self._look().items():
            used = self.stage.gpu.accounts(gpu)
            held = {each.pid: each.memory_bytes for each in self.stage.gpu.processes(gpu)}
            for one in sightings:
                if one.owner.container:
                    seconds[one.owner.container.pod] += used.get(one.process.pid, 0.0)
                    memory[one.owner.container.pod] += held.get(one.process.pid, 0)
        return seconds, memory

    def _look(self) -> Mapping[str, Sequence[Sighting]]:
        if self.sightings is None:
            gpus = [gpu.uuid for gpu in self.stage.inventory.gpus]
            place = Place.of(self.stage.kubelet.plugin_socket.parent)
            self.sightings = Sightings(self.stage.gpu, gpus, place)
        return self.sightings.look((), time.monotonic()).seen


def durations(log: str, since: float) -> list[float]:
    """The time from one finished kernel to the next in a workload's log, after a moment. Pure."""
    ends = [stamp for line in log.splitlines() if (stamp := _progress(line)) > since]
    return [later - earlier for earlier, later in pairwise(ends)]


def _progress(line: str) -> float:
    """When a kernel ended, if the line tells of one (the last may be half written); else 0."""
    with suppress(ValueError, KeyError, TypeError):
        entry = json.loads(line)
        return float(entry["at"]) if entry["event"] == "progress" else 0.0
    return 0.0


def replica_of(status: PodStatus) -> str:
    """The ids that the pod holds."""
    return ",".join(i for ids in status.container().devices.values() for i in ids)


def state_of(status: PodStatus) -> str:
    """`waiting` for a pod that found no room, else the phase in small letters."""
    if status.phase == "Pending" and status.reason == "Unschedulable":
        return "waiting"
    return status.phase.lower()


def why_over(status: PodStatus, kubelet: EmbeddedKubelet) -> str:
    """Why a pod that should run does not: the kubelet's reason, or how its program ended."""
    if status.reason:
        return f"{status.reason} {status.message}".strip()
    lines = kubelet.log(status.namespace, status.name).splitlines()
    said = f"it last said: {lines[-1]}" if lines else "it said nothing"
    return f"its program ended with {status.container().exit_code}; {said}"
