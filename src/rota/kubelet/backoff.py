"""How long to wait before the next try: doubling, with jitter, so that many do not march in step."""

from __future__ import annotations

from dataclasses import dataclass, field
from random import Random


@dataclass(slots=True)
class Backoff:
    """Delays for one thing that is tried again and again. Seconds.

    Attributes:
        first: before the second try.
        most: never longer than this.
        failures: tries that failed since the last success.
        jitter: where the chance comes from.
    """

    first: float = 0.05
    most: float = 10.0
    failures: int = 0
    jitter: Random = field(default_factory=Random)

    def fail(self) -> float:
        """Note a failure. Returns how long to wait: between half and the whole of the delay."""
        delay = min(self.most, self.first * 2.0 ** min(self.failures, 30))
        self.failures += 1
        return delay * self.jitter.uniform(0.5, 1.0)

    def succeed(self) -> None:
        """Start again with the shortest delay."""
        self.failures = 0
