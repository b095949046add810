"""The words of this room: classes, shares, rules, and why a turn ended."""

from __future__ import annotations

import enum
from dataclasses import dataclass

BATCH_PART = 1 / 32
"""What a batch client's share counts beside others: what they leave, and this much, so that it is
never starved."""


class Why(enum.StrEnum):
    """Why a turn ended."""

    EXPIRED = "expired"  # its slice was over and another client was due
    YIELDED = "yielded"  # it had nothing to do and another client had
    PREEMPTED = "preempted"  # a client woke up that was behind it by more than a grain
    EXITED = "exited"  # the client is no more
    FAILED = "failed"  # its gate could not be worked; it runs ungated


class Priority(enum.StrEnum):
    """The class of a client (annotation `rota.dev/class`)."""

    INTERACTIVE = "interactive"  # when it wakes, it preempts at once, within its share
    STANDARD = "standard"
    BATCH = "batch"  # what the others leave, but never starved


@dataclass(frozen=True, slots=True)
class Share:
    """What a client is due on one GPU.

    Attributes:
        replicas: how many of the GPU's replicas it holds.
        weight: a factor on them (annotation `rota.dev/weight`), above 0.
        priority: its class.
    """

    replicas: int = 1
    weight: float = 1.0
    priority: Priority = Priority.STANDARD

    @property
    def size(self) -> float:
        """Its part of the GPU in proportion to the others' sizes."""
        part = BATCH_PART if self.priority is Priority.BATCH else 1.0
        return self.replicas * self.weight * part


@dataclass(frozen=True, slots=True)
class Rules:
    """How long turns are. All in seconds.

    Attributes:
        quantum: the longest a turn lasts while another client is due.
        minimum: the shortest, before a wake-up may preempt it.
        start_limit: the longest that a starting process may hold the turn.
        patience: how long a client whose gate would not close is left alone before the next try.
        burst: the longest that a client may work beside the holder; 0: no client may. One whose
            last turns were all shorter is left with its gates open when it yields.
    """

    quantum: float = 0.1
    minimum: float = 0.005
    start_limit: float = 1.0
    patience: float = 0.5
    burst: float = 0.008

    @property
    def grain(self) -> float:
        """How far behind a waking client must be to preempt: a difference worth a handover."""
        return self.quantum / 4

    @property
    def lag(self) -> float:
        """The most service that an idle spell earns."""
        return self.quantum
