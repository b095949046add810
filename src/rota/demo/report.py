"""What a demo found: its steps, and its pods as they were while one more waited."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

SHOWN_ONLY = ("part", "lane")
"""What of a pod is for the eye, and not in the document."""


@dataclass(frozen=True, slots=True)
class Step:
    """One step of the demo, as it ended.

    Attributes:
        name: a stable word for machines, such as `allocatable`.
        ok: it did what it should.
        seconds: how long it took.
        detail: what came of it, for people; several lines where there is a list to show.
    """

    name: str
    ok: bool
    seconds: float
    detail: str


@dataclass(frozen=True, slots=True)
class PodUse:
    """One pod as it was measured.

    Attributes:
        name: the pod's.
        replica: ids of the replicas that it holds, separated by commas; empty while it waits.
        state: `running`, `waiting`, or the kubelet's phase in small letters.
        gpu_seconds: GPU time that its processes used while it was watched.
        memory_bytes: GPU memory that its processes hold.
        part: of the GPU's time, in the last sample, 0 to 1.
        lane: its last turns, drawn; empty where there are no turns.
    """

    name: str
    replica: str
    state: str
    gpu_seconds: float = 0.0
    memory_bytes: int = 0
    part: float = 0.0
    lane: str = ""


@dataclass(frozen=True, slots=True)
class Usage:
    """All pods over some seconds.

    Attributes:
        pods: each pod.
        seconds: so many.
        kernel: median of how long a pod's kernel took to come back, in seconds; 0 if none did.
    """

    pods: tuple[PodUse, ...]
    seconds: float
    kernel: float = 0.0


@dataclass(slots=True)
class Report:
    """The whole demo. `to_json` is the document that `rota demo --json` prints."""

    gpu: str = ""
    emulated: bool = False
    allocatable: int = 0
    pods: tuple[PodUse, ...] = ()
    steps: list[Step] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """Every step did what it should."""
        return bool(self.steps) and all(step.ok for step in self.steps)

    def to_json(self) -> dict[str, Any]:
        """Plain values, ready for `json.dumps`."""
        pods = [{k: v for k, v in asdict(pod).items() if k not in SHOWN_ONLY} for pod in self.pods]
        for pod in pods:
            pod["gpu_seconds"] = round(pod["gpu_seconds"], 3)
        steps = [asdict(step) | {"seconds": round(step.seconds, 3)} for step in self.steps]
        return {
            "gpu": self.gpu,
            "emulated": self.emulated,
            "allocatable": self.allocatable,
            "pods": pods,
            "steps": steps,
        }
