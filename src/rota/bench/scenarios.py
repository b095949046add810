"""What is measured: programs that share a GPU as they do in practice, and the ways of sharing it."""

from __future__ import annotations

from dataclasses import dataclass, replace

from rota.errors import UsageError

SOLO = "solo"
DRIVER, OVERLAPPED, DISJOINT, MPS = "driver", "overlapped", "disjoint", "mps"
MODES = (DRIVER, OVERLAPPED, DISJOINT, MPS)
TURNS = (OVERLAPPED, DISJOINT)

TRAINER, SERVER, NOTEBOOK, IDLE, NEWCOMER = "trainer", "server", "notebook", "idle", "newcomer"

LONG = 10.0
"""Seconds over which shares by weight are measured: a hundred turns of 100 ms."""

SHARES = 10.0
"""Seconds over which equal shares are measured: with fewer turns a part of one would count."""


@dataclass(frozen=True, slots=True)
class Part:
    """One program of a scenario. Lengths of time in seconds, of GPU work when it is alone.

    Attributes:
        role: what it stands for.
        weight: the factor on its share.
        kernel: how long each of its kernels runs.
        ahead: kernels that it queues before it waits for them.
        pause: from request to request (server), or between two cells (notebook).
    """

    role: str = TRAINER
    weight: float = 1.0
    kernel: float = 0.0002
    ahead: int = 10
    pause: float = 0.0

    @property
    def arguments(self) -> tuple[str, ...]:
        """Its command line, after the name of the program."""
        kind = {IDLE: NOTEBOOK, NEWCOMER: TRAINER}.get(self.role, self.role)
        pause = {SERVER: "--period", NOTEBOOK: "--think"}.get(kind)
        work = ("--kernel", str(self.kernel), "--ahead", str(self.ahead), "--report", "0")
        return (kind, *work, *((pause, str(self.pause)) if pause else ()))


@dataclass(frozen=True, slots=True)
class Scenario:
    """Programs that run at the same time.

    Attributes:
        name: what `--only` takes.
        title: for people.
        parts: the programs that are there from the beginning.
        seconds: how long each measurement lasts.
        turns_seconds: how long at least with turns: whole cycles of all programs' turns.
        newcomers: seconds between two short programs that come while it lasts; 0: none come.
        settles: seconds before each measurement with turns, for those who are idle to be known so.
    """

    name: str
    title: str
    parts: tuple[Part, ...]
    seconds: float = 1.6
    turns_seconds: float = 2.0
    newcomers: float = 0.0
    settles: float = 0.4

    def lasts(self, mode: str) -> float:
        """Seconds of one measurement in that mode."""
        if mode not in TURNS:
            return self.seconds
        return max(self.seconds, self.turns_seconds)


def _trainers(*weights: float) -> tuple[Part, ...]:
    return tuple(Part(weight=weight) for weight in weights)


REQUEST = 0.0005
"""Seconds of a kernel of those that wait for something, and then queue several."""

_BUSY = Part()
_IDLE = Part(IDLE, ahead=1, pause=3600.0)

SCENARIOS = (
    Scenario(SOLO, "One program alone", (_BUSY,)),
    Scenario("two", "2 saturating", _trainers(1, 1), turns_seconds=SHARES),
    Scenario("four", "4 saturating", _trainers(1, 1, 1, 1), turns_seconds=SHARES),
    Scenario("weights-3-1", "Weights 3:1", _trainers(3, 1), turns_seconds=LONG),
    Scenario("weights-1-2-4", "Weights 1:2:4", _trainers(1, 2, 4), turns_seconds=LONG),
    Scenario(
        "small", "Request of 0.5 ms every 20 ms beside a trainer",
        (_BUSY, Part(SERVER, kernel=REQUEST, ahead=1, pause=0.02)), turns_seconds=4.0,
    ),
    Scenario(
        "large", "Request of 50 ms every 200 ms beside a trainer",
        (_BUSY, Part(SERVER, kernel=REQUEST, ahead=100, pause=0.2)), seconds=3.2,
    ),
    Scenario(
        "servers", "Two servers (10 ms every 100 ms) beside a trainer",
        (_BUSY, *(Part(SERVER, kernel=REQUEST, ahead=20, pause=0.1),) * 2),
    ),
    Scenario(
        "notebooks", "Trainer with 3 notebooks (0.2 s of work, 0.6 s of thought)",
        (_BUSY, *(Part(NOTEBOOK, kernel=REQUEST, ahead=400, pause=0.6),) * 3), seconds=3.2,
    ),
    Scenario(
        "idle", "One busy, three idle", (_BUSY, _IDLE, _IDLE, _IDLE), turns_seconds=4.0, settles=11.0,
    ),
    Scenario(
        "ahead", "Launch-ahead 1,000 beside a trainer",
        (_BUSY, Part(kernel=0.0002, ahead=1000)), seconds=3.2,
    ),
    Scenario("newcomers", "Newcomers all the time beside 2 trainers", _trainers(1, 1),
        seconds=3.2, newcomers=0.8),
)  # fmt: skip
"""In the order in which they run. The first is what all others are measured against."""


def chosen(names: tuple[str, ...]) -> tuple[Scenario, ...]:
    """The scenarios of those names, all for no name, with `solo` before them in any case.

    Raises:
        UsageError: there is none of that name.
    """
    known = {scenario.name for scenario in SCENARIOS}
    for name in names:
        if name not in known:
            raise UsageError(f"no scenario {name!r}", hint="`rota bench --list` names them")
    wanted = {SOLO, *names} if names else known
    return tuple(scenario for scenario in SCENARIOS if scenario.name in wanted)


def quicker(scenario: Scenario) -> Scenario:
    """The same in a moment: to see that it works, not to believe its figures."""
    return replace(scenario, seconds=0.8, turns_seconds=0.0, settles=0.4)
