"""When to look at a client's demand, and what to make of what is seen.

Looking costs a few microseconds a thread, so each client is looked at as seldom as it may be: a
closed one that has long been idle every few milliseconds, one that is known to wait hardly at all,
one with the GPU often only while others want it.
"""

from __future__ import annotations

import math

from rota.gatekeeper.gate import Gate
from rota.gatekeeper.group import Group
from rota.scheduling.ensemble import Company

WAKING = 0.001
"""Between two looks at a closed client that was active a moment ago, in seconds."""

RESTING = 0.004
"""Between two looks at a closed client that has been idle for a while."""

DOZING = ((10.0, 0.024), (2.0, 0.012))
"""The same after it has been idle for so many seconds: half that, at the median, is added to the
start of its next work."""

KNOWN = 0.048
"""Between two looks at a closed client that is known to wait."""

WATCHED = 0.004
"""Between two looks at the holder while somebody waits."""

STEADY = 0.001, 0.02
"""The same for a holder that was never seen asleep in its last turns: so much for each of them, and
the most. Half of that is lost when it pauses at last: half a millisecond a turn, however many."""

AGAIN = 0.001
"""From a look at which an open client was asleep to the next: twice asleep is idle."""

EARLY, LATE = 0.75, 1.5
"""Within these parts of its last burst after its opening, a client is looked at more closely."""

CLOSELY = 0.0005, 0.05
"""Between two such looks: seconds at least, and in parts of that burst."""

RELAXED = 0.024
"""Between two looks at the holder while nobody waits."""

ALONE = 0.25
"""Between two looks at a client that is alone on its GPUs: only its GPU seconds depend on it."""

ACTIVE = 0.05
"""How long a client counts as active a moment ago."""

SETTLE = 0.005
"""A client cut short has this long to reach its gate before it counts as idle."""

QUIET = 2
"""Looks in a row at which an open client must be asleep to count as idle."""

BLIND = 1.0
"""One that was cut short, rests since, and is not seen waiting for so long, is let in to see: no
way of waiting at a gate that we do not know may keep a program out for ever."""

PROBE = 0.01
"""Where demand cannot be read, a turn is a probe of this length."""


class Watch:
    """What is known about the demand of one client.

    Attributes:
        next: when to look again.
    """

    def __init__(self) -> None:
        self.next = 0.0
        self._quiet = 0
        self._active = 0.0
        self._looks = 0
        self._burst = 0.0
        self._was_open = False
        self._full = 0
        self._cut = False
        self._trying = False

    def look_closed(self, group: Group, now: float) -> bool | None:
        """Whether a client whose gates are closed wants the GPU; None: not known yet."""
        if self._was_open:
            self._was_open, self._full = False, self._full + 1
        self._looks += 1
        gates = [gate for gate in group if gate.closed]
        waits = any(self._waits(gate) for gate in gates)
        if waits or self._is_tried(gates, now - group.since):
            self._active, self.next = now, _tick(now, KNOWN)
            return True
        if now - group.since < SETTLE:
            self._active, self.next = now, _tick(now, WAKING)
            return None
        idle = now - self._active
        rest = next((pace for long, pace in DOZING if idle >= long), RESTING)
        self.next = _tick(now, WAKING if idle < ACTIVE else rest)
        return False

    def look_open(self, group: Group, now: float, company: Company) -> bool | None:
        """Whether a client whose gates are open works; None: not known yet."""
        contended = company in (Company.WAITING, Company.HOST)
        self._active, self._was_open = now, True
        self._cut, self._trying = True, False
        self._looks += 1
        self.next = self._again(now - group.since, now, company)
        if not all(gate.demand.readable() for gate in group):
            return not contended or now - group.since < PROBE
        if not all(self._asleep(gate) for gate in group):
            self._quiet = 0
            return True
        self._full = 0
        self._quiet += 1
        enough = 1 if company is Company.HOST else QUIET
        if self._quiet < enough:
            self.next = min(self.next, now + AGAIN) if contended else self.next
            return None
        self._cut = False
        if self._quiet == enough and company is Company.WAITING:
            self._burst = now - group.since
        return False

    def _is_tried(self, gates: list[Gate], closed: float) -> bool:
        """Whether to let it in and see: it was cut short, and what it waits for is not known."""
        if gates and self._cut and closed > BLIND and not self._trying:
            self._trying = all(gate.demand.at_rest() and not gate.stopped for gate in gates)
        return self._trying

    def _again(self, opened: float, now: float, company: Company) -> float:
        """When to look again at a client whose gates have been open for `opened` seconds."""
        usual = _tick(now, self._pace(company))
        if company is not Company.WAITING or opened > LATE * self._burst:
            return usual
        if opened < EARLY * self._burst:
            return min(usual, now + EARLY * self._burst - opened)
        return min(usual, now + max(CLOSELY[0], CLOSELY[1] * self._burst))

    def _pace(self, company: Company) -> float:
        if company is Company.WAITING:
            return min(STEADY[1], max(WATCHED, self._full * STEADY[0]))
        return {Company.NONE: ALONE, Company.IDLE: RELAXED}.get(company, WATCHED)

    def _asleep(self, gate: Gate) -> bool:
        """It does not use the GPU. That it is stopped is looked for now and then only."""
        return gate.demand.asleep() or (self._looks % 32 == 0 and gate.stopped)

    def _waits(self, gate: Gate) -> bool:
        """It waits for the GPU, and is not stopped: that one could not use a turn."""
        demand = gate.demand
        if not demand.wants() and (demand.ended or demand.readable()):
            return False
        return not gate.stopped


def _tick(now: float, interval: float) -> float:
    """The next multiple of the interval: all who are looked at seldom are looked at together."""
    return (math.floor(now / interval) + 1) * interval
