"""One measurement as a document."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Program:
    """What one program did in a measurement, by its own record.

    Attributes:
        role: what it stood for.
        weight: the factor on its share.
        rate: work a second, in seconds of a GPU that it had alone, as it was calibrated.
        latencies: seconds of each request or cell.
    """

    role: str
    weight: float
    rate: float
    latencies: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class Slot:
    """One scenario shared in one way, once.

    Attributes:
        scenario: its name.
        mode: the way of sharing.
        round: from 0.
        seconds: how long it was measured.
        programs: what each did.
        cpu: the gatekeeper's, in parts of a core.
        ended: reason → how many turns ended for it, as the scheduler tells; for explanation.
        starts: seconds from the start of each newcomer until it was on the GPU.
        came: how many newcomers were started.
        error: why there is no measurement; empty if there is one.
    """

    scenario: str
    mode: str
    round: int
    seconds: float = 0.0
    programs: tuple[Program, ...] = ()
    cpu: float = 0.0
    ended: Mapping[str, int] = field(default_factory=dict)
    starts: tuple[float, ...] = ()
    came: int = 0
    error: str = ""

    def document(self) -> dict[str, Any]:
        """Plain values, with as many digits as they are worth."""
        raw: dict[str, Any] = _rounded(asdict(self))
        return raw


def parse_slot(raw: Mapping[str, Any]) -> Slot:
    """Read that document."""
    programs = tuple(
        Program(p["role"], p["weight"], p["rate"], tuple(p["latencies"])) for p in raw["programs"]
    )
    return Slot(**{**raw, "programs": programs, "starts": tuple(raw["starts"])})


def _rounded(value: Any) -> Any:
    if isinstance(value, float):
        return round(value, 6)
    if isinstance(value, dict):
        return {key: _rounded(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_rounded(each) for each in value]
    return value
