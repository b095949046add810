"""The demo's steps, in the order in which a person would take them by hand.

Each step does one thing, waits until it can be seen to have happened, and says what came of it. A
step that fails ends the demo, but never the cleaning up.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from statistics import median

from rota.config.load import ConfigError, Loaded, load_text
from rota.demo import greed, pods
from rota.demo.edits import with_mode, with_replicas
from rota.demo.pods import Meter
from rota.demo.report import Report, Step, Usage
from rota.demo.screen import Screen, gib
from rota.demo.stage import Stage, set_up
from rota.errors import RotaError
from rota.kubelet.embedded import PodStatus
from rota.model import Inventory, Resource
from rota.replicas.plan import plan
from rota.scheduling.log import jain

WATCHED = 5.0
"""Seconds for which the pods are watched."""

SLICED = 3.0
"""Seconds for which they are watched under the driver's own slicing."""

SAMPLE = 0.25
"""Seconds between samples."""

READY = 20.0
"""Seconds that a pod has to start and to be seen on the GPU."""

MOST_PODS = 8
"""So many pods are started where nobody said how many, however many replicas there are."""

ROLLED_BACK = "version: v1\n"


@dataclass(frozen=True, slots=True)
class Script:
    """What a demo is to show.

    Attributes:
        config: the text of the config.
        file: its name in messages.
        inventory: the GPUs it is shown on.
        emulate: what `--emulate` was given; empty on a real GPU.
        pods: size of the Deployment; None for one pod a replica (at most `MOST_PODS`).
    """

    config: str
    file: str
    inventory: Inventory
    emulate: str = ""
    pods: int | None = None


class StepFailed(Exception):
    """The step said why; what follows would make no sense."""


@dataclass(slots=True)
class Demo:
    """One run of the script."""

    script: Script
    screen: Screen
    report: Report = field(default_factory=Report)

    async def run(self) -> Report:
        """Play all steps; the report says how each went."""
        first = self.script.inventory.gpus[0]
        self.report.gpu, self.report.emulated = first.product, bool(self.script.emulate)
        self.screen.begin("Rota shares a GPU", self._note())
        try:
            async with set_up(
                self.script.config, self.script.emulate, self.script.inventory
            ) as stage:
                await self._steps(stage)
        except StepFailed:
            pass
        self.screen.end(self.report)
        return self.report

    def _note(self) -> str:
        gpus = self.script.inventory.gpus
        many = f"{len(gpus)} × " if len(gpus) > 1 else ""
        what = f"{many}{gpus[0].product}, {gib(gpus[0].memory_bytes)}"
        if self.script.emulate:
            return f"{what}: emulated. There is no such GPU here; the figures are the emulation's."
        return f"{what}, driver {self.script.inventory.driver_version}"

    @asynccontextmanager
    async def _step(self, name: str, title: str) -> AsyncIterator[list[str]]:
        """Time a step; what it adds to the list is its detail, a RotaError its failure."""
        self.screen.working(title)
        started = time.monotonic()
        detail: list[str] = []
        failure: RotaError | None = None
        try:
            yield detail
        except RotaError as error:
            failure, detail[:] = error, [str(error)]
        step = Step(name, failure is None, time.monotonic() - started, "\n".join(detail))
        self.report.steps.append(step)
        self.screen.done(title, step)
        if failure:
            raise StepFailed from failure

    async def _steps(self, stage: Stage) -> None:
        async with self._step("check", "the config") as detail:
            resource = self._check(detail)
        async with self._step("start", "kubelet and agent") as detail:
            await self._start(stage, resource, detail)
        async with self._step("allocatable", "allocatable") as detail:
            count = await self._allocatable(stage, resource, detail)
        names = [f"gpu-test-{number}" for number in range(1, (self.script.pods or count) + 1)]
        async with self._step("deployment", f"a Deployment of {len(names)}") as detail:
            await self._deploy(stage, resource, names, detail)
        async with self._step("replicas", "who runs on which replica") as detail:
            detail.append("each pod holds one" if len(names) > 1 else "it holds one")
            detail += [f"{s.name:<12} {pods.replica_of(s)}" for s in _running(stage)]
        async with self._step("fifth", "one pod more") as detail:
            await self._one_more(stage, resource, len(names), detail)
        async with self._step("usage", "turns: one at a time") as detail:
            turns = await self._watch(stage, detail)
        async with self._step("slicing", "the driver's own slicing") as detail:
            await self._slice(stage, turns, detail)
        if await greed.holds_limits(stage, _load(self.script.config, self.script.file)):
            async with self._step("greedy", "a greedy pod") as detail:
                detail += await self._be_greedy(stage, resource, names)
        async with self._step("edit", "edit to 2, and back") as detail:
            await self._edit(stage, resource, detail)
        async with self._step("rollback", "rollback") as detail:
            await self._roll_back(stage, resource, detail)

    def _check(self, detail: list[str]) -> Resource:
        loaded = _load(self.script.config, self.script.file)
        planned = plan(loaded.config, self.script.inventory, file=self.script.file)
        if planned.failed:
            raise RotaError("; ".join(finding.message for finding in planned.findings))
        shared = [resource for resource in planned.resources if resource.shared]
        if not shared:
            raise RotaError(
                "nothing is shared by this config on this GPU",
                where=self.script.file,
                hint="set sharing.timeSlicing.resources; `rota check` says more",
            )
        found = (*loaded.findings, *planned.findings)
        said = f"{len(found)} finding{'s' * (len(found) != 1)}" if found else "no findings"
        detail.append(f"{self.script.file}: {said}; {_sentence(shared[0])}")
        detail += [str(finding) for finding in found]
        return shared[0]

    async def _start(self, stage: Stage, resource: Resource, detail: list[str]) -> None:
        await stage.start_agent()
        await stage.until_allocatable(resource.name, len(resource.replicas))
        detail.append(f"{resource.name} registered, agent pid {stage.agent_pid}")

    async def _allocatable(self, stage: Stage, resource: Resource, detail: list[str]) -> int:
        count = stage.kubelet.allocatable()[resource.name]
        self.report.allocatable = count
        gpus = len(resource.devices)
        detail.append(f"{resource.name}: {count}, of {gpus} GPU{'s' * (gpus != 1)}")
        if self.script.pods is not None and self.script.pods > count:
            raise RotaError(
                f"{self.script.pods} pods do not fit on {count} replicas",
                hint=f"--pods {count} at most with this config",
            )
        return min(count, MOST_PODS)

    async def _deploy(
        self, stage: Stage, resource: Resource, names: list[str], detail: list[str]
    ) -> None:
        smallest = min(device.memory_bytes for device in resource.devices)
        for index, name in enumerate(names):
            memory = pods.memory_of(index, smallest, len(names))
            command = pods.command(bool(self.script.emulate), memory)
            stage.kubelet.add_pod(pods.pod(name, resource.name, 1, command, restart=True))
        await stage.kubelet.wait_until(lambda: _all_started(stage), READY)
        meter = Meter(stage)
        await stage.kubelet.wait_until(lambda: _all_on_gpu(stage, meter), READY)
        detail.append(f"{len(_running(stage))} of {len(names)} running, and seen on the GPU")
        again = [status for status in stage.kubelet.pods() if status.container().restarts]
        detail += [f"{status.name} ended and was started again" for status in again]

    async def _one_more(
        self, stage: Stage, resource: Resource, running: int, detail: list[str]
    ) -> None:
        want = stage.kubelet.allocatable()[resource.name] - running + 1
        command = pods.command(bool(self.script.emulate), 2**26)
        name = f"gpu-test-{running + 1}"
        stage.kubelet.add_pod(pods.pod(name, resource.name, want, command))
        await stage.kubelet.wait_until(
            lambda: _status(stage, name).reason == "Unschedulable", READY
        )
        detail.append(f"{name} waits: {_status(stage, name).message}")

    async def _watch(self, stage: Stage, detail: list[str]) -> Usage:
        usage = await self._measure(stage, WATCHED)
        self.report.pods = usage.pods
        detail.append(f"{_summary(usage)}")
        detail.append(f"right: the last {pods.SHOWN:.0f} s of each pod; full where it has the GPU")
        return usage

    async def _measure(self, stage: Stage, seconds: float, *, lanes: bool = True) -> Usage:
        """Watch all pods for so long; the result is over the whole time."""
        meter = Meter(stage)
        started = last = time.monotonic()
        usage = meter.sample(0.0)
        while last - started < seconds:
            await asyncio.sleep(SAMPLE)
            now = time.monotonic()
            usage = meter.sample(now - last)
            last = now
            self.screen.usage(meter.with_lanes(usage) if lanes else usage)
        usage = meter.average(usage, last - started)
        usage = meter.with_lanes(usage) if lanes else usage
        self.screen.usage(usage)
        took = await asyncio.to_thread(meter.kernels, started)
        return replace(usage, kernel=median(took) if took else 0.0)

    async def _slice(self, stage: Stage, turns: Usage, detail: list[str]) -> None:
        """The same pods under the driver's own slicing, by an edit of the config."""
        text = stage.config.read_text()
        stage.config.write_text(with_mode(text, self.script.file, "driver"))
        await stage.until_mode("driver")
        slicing = await self._measure(stage, SLICED, lanes=False)
        stage.config.write_text(text)
        await stage.until_mode(_load(text, self.script.file).config.rota.turns.mode)
        detail.append(_summary(slicing))
        if turns.kernel and slicing.kernel:
            detail.append(
                f"with turns, a kernel takes {turns.kernel / slicing.kernel:.0%} of that: nobody cuts in"
            )

    async def _be_greedy(self, stage: Stage, resource: Resource, names: list[str]) -> list[str]:
        """In the place of the first pod, and of the one that waits for it."""
        gone, neighbours = [f"gpu-test-{len(names) + 1}", names[0]], names[1:]
        emulated = bool(self.script.emulate)
        return await greed.greed(stage, resource.name, gone, neighbours, emulated=emulated)

    async def _edit(self, stage: Stage, resource: Resource, detail: list[str]) -> None:
        before = {status.name: status.container().pid for status in _running(stage)}
        text = stage.config.read_text()
        edited = with_replicas(text, self.script.file, 2)
        fewer = self._replicas_under(edited, resource)
        stage.config.write_text(edited)
        await stage.until_allocatable(resource.name, fewer)
        stage.config.write_text(text)
        await stage.until_allocatable(resource.name, len(resource.replicas))
        after = {status.name: status.container().pid for status in _running(stage)}
        if after != before:
            raise RotaError("a pod was restarted by the edit")
        detail.append(
            f"{len(resource.replicas)} → {fewer} → {len(resource.replicas)} allocatable; "
            "no restart, every pod ran on"
        )

    def _replicas_under(self, text: str, resource: Resource) -> int:
        """How many replicas of the same resource another config makes."""
        planned = plan(_load(text, self.script.file).config, self.script.inventory)
        found = planned.resource(resource.name)
        return len(found.replicas) if found else 0

    async def _roll_back(self, stage: Stage, resource: Resource, detail: list[str]) -> None:
        for status in stage.kubelet.pods():
            await stage.kubelet.delete_pod(status.namespace, status.name)
        stage.config.write_text(ROLLED_BACK)
        whole = plan(_load(ROLLED_BACK, "rollback").config, self.script.inventory)
        for found in whole.resources:
            await stage.until_allocatable(found.name, len(found.replicas))
            detail.append(f"{found.name}: {len(found.replicas)} again; pods deleted, sharing off")


def _load(text: str, file: str) -> Loaded:
    try:
        return load_text(text, file)
    except ConfigError as error:
        raise RotaError(str(error)) from None


def _summary(usage: Usage) -> str:
    """The GPU's use in all, how even it was (Jain's index), and how long a kernel took."""
    parts = [pod.part for pod in usage.pods if pod.state == "running"]
    kernel = f"a {pods.KERNEL * 1000:.0f} ms kernel took {usage.kernel * 1000:.0f} ms"
    return f"GPU busy {sum(parts):.0%}, {kernel}, fairness {jain(parts):.3f}"


def _sentence(resource: Resource) -> str:
    each = {resource.replicas_of(device.uuid) for device in resource.devices}
    many = "/".join(str(count) for count in sorted(each))
    return f"{resource.name} × {many} per GPU"


def _running(stage: Stage) -> list[PodStatus]:
    return [status for status in stage.kubelet.pods() if status.phase == "Running"]


def _status(stage: Stage, name: str) -> PodStatus:
    return next(status for status in stage.kubelet.pods() if status.name == name)


def _all_started(stage: Stage) -> bool:
    for status in stage.kubelet.pods():
        if status.over or status.reason == "UnexpectedAdmissionError":
            raise RotaError(f"pod {status.name}: {pods.why_over(status, stage.kubelet)}")
    return all(status.phase == "Running" for status in stage.kubelet.pods())


def _all_on_gpu(stage: Stage, meter: Meter) -> bool:
    _all_started(stage)
    return all(use.memory_bytes > 0 for use in meter.sample(0.0).pods)
