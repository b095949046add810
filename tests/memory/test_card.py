"""Ballast over whole lives: a card on which clients come, start, take, give back, and end.

The card hands out memory to whoever can ask at that moment: the client whose gate is open, starting
processes, unmanaged ones. Between two operations nothing else holds but what `plan` said to hold.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from rota.memory.ballast import Grain, Held, Plan, Standing, change, plan
from rota.memory.limits import Claim, MemoryRefused, Pool, admit, shares

RANDOM = os.environ.get("ROTA_EXAMPLES")
PROFILE = settings(
    max_examples=int(RANDOM or 12),
    stateful_step_count=30,
    derandomize=not RANDOM,
    deadline=None,
    database=None,
)
GRAIN = Grain(chunk=16, granule=2)
CONTEXT = 10
DRIVER = 6
SIZES = st.integers(1, 60).map(lambda n: 2 * n)


@dataclass(slots=True)
class Card:
    """A GPU: it knows who uses what, and refuses what is not free."""

    total: int
    used: dict[str, int] = field(default_factory=dict)
    unmanaged: int = 0
    held: Held = field(default_factory=Held)

    @property
    def free(self) -> int:
        mine = self.held.size(GRAIN)
        return self.total - DRIVER - sum(self.used.values()) - self.unmanaged - mine

    def allocate(self, client: str, size: int) -> bool:
        if size > self.free:
            return False
        self.used[client] = self.used.get(client, 0) + size
        return True

    def hold(self, size: int) -> None:
        """Do what the keeper does: let go, then take, each piece only if it is free."""
        made = change(self.held, size, GRAIN)
        free = self.free + sum(made.release)
        for piece in made.take:
            assert piece <= free, "more was to be taken than is free"
            free -= piece
        self.held = Held.for_size(size, GRAIN)


class Life(RuleBasedStateMachine):
    """The random life of a card. Subclasses say what the pool is like."""

    pool = Pool("GPU-1", 400, 4, reserve=DRIVER, context=CONTEXT)
    surprises = True

    def __init__(self) -> None:
        super().__init__()
        self.card = Card(self.pool.total)
        self.claims: list[Claim] = []
        self.open: str | None = None
        self.admitted = 0
        self.plan = Plan(0, self.card.free)
        self.most: dict[str, int] = {}

    # What the keeper sees and does

    def seen_pool(self) -> Pool:
        seen = self.card.unmanaged
        return Pool(
            self.pool.gpu,
            self.pool.total,
            self.pool.replicas,
            self.pool.reserve,
            seen,
            self.pool.oversubscribe,
            self.pool.limited,
            CONTEXT,
        )

    def standings(self, opened: tuple[str, ...]) -> list[Standing]:
        table = shares(self.seen_pool(), self.claims, self.card.used)
        return [
            Standing(
                row.client,
                row.use,
                row.limit,
                row.guaranteed,
                can_allocate=row.client in opened,
                context=0 if row.client in self.card.used else CONTEXT,
            )
            for row in table.rows
        ]

    def keep(self, *opened: str) -> None:
        """Measure, plan, hold."""
        standings = self.standings(opened)
        self.plan = plan(standings, self.card.free, self.card.held.size(GRAIN), GRAIN)
        self.card.hold(self.plan.ballast)
        self.most = {s.client: max(s.use, s.limit) for s in standings if s.limit is not None}

    def again(self) -> None:
        self.keep(*([self.open] if self.open else []))

    def starters(self) -> list[str]:
        return [claim.client for claim in self.claims if claim.client not in self.card.used]

    # What happens

    @precondition(lambda self: sum(claim.replicas for claim in self.claims) < self.pool.replicas)
    @rule(own=st.one_of(st.none(), SIZES))
    def admitted_to_the_gpu(self, own: int | None) -> None:
        newcomer = Claim(f"c{self.admitted}", 1, own)
        self.admitted += 1
        try:
            admit(self.seen_pool(), self.claims, newcomer)
        except MemoryRefused:
            return
        self.claims.append(newcomer)
        self.again()

    @precondition(lambda self: self.starters())
    @rule()
    def all_who_are_to_start_do_so_at_once(self) -> None:
        starters = self.starters()
        self.open = None
        self.keep(*starters)
        rooms = [s.start for s in self.standings(tuple(starters))]
        for client in starters:
            made = self.card.allocate(client, CONTEXT)
            assert made or self.plan.short or min(rooms) < CONTEXT or sum(rooms) > self.plan.left
        self.again()

    @rule()
    def a_program_tries_to_start_without_waiting(self) -> None:
        """It was not seen in time: it may fail, but nobody else's memory is its."""
        starters = self.starters()
        if starters and self.open and self.card.allocate(starters[0], CONTEXT):
            self.again()

    @precondition(lambda self: self.card.used)
    @rule(data=st.data())
    def the_turn_goes_to(self, data: st.DataObject) -> None:
        self.open = data.draw(st.sampled_from(sorted(self.card.used)))
        self.keep(self.open)

    @precondition(lambda self: self.open)
    @rule(size=SIZES)
    def who_has_the_turn_allocates(self, size: int) -> None:
        assert self.open
        mine = next(s for s in self.standings((self.open,)) if s.client == self.open)
        got = self.card.allocate(self.open, size)
        if got and mine.limit is not None:
            assert self.card.used[self.open] <= self.most[self.open]
        if not self.surprises and mine.headroom is not None:
            assert got == (size <= mine.headroom)

    @precondition(lambda self: self.open)
    @rule(part=st.integers(1, 4))
    def who_has_the_turn_frees(self, part: int) -> None:
        assert self.open
        loose = self.card.used[self.open] - CONTEXT
        self.card.used[self.open] -= max(0, loose // part // 2 * 2)

    @precondition(lambda self: self.card.used)
    @rule(data=st.data(), leaves=st.booleans())
    def a_process_ends(self, data: st.DataObject, leaves: bool) -> None:
        client = data.draw(st.sampled_from(sorted(self.card.used)))
        del self.card.used[client]
        if leaves:
            self.claims = [claim for claim in self.claims if claim.client != client]
        self.open = None if self.open == client else self.open
        self.again()

    @precondition(lambda self: self.surprises)
    @rule(size=st.integers(0, 60))
    def unmanaged_use_changes(self, size: int) -> None:
        self.card.unmanaged = min(2 * size, self.card.unmanaged + self.card.free // 2 * 2)
        self.again()

    # What always holds

    @invariant()
    def memory_is_never_overfilled(self) -> None:
        assert self.card.free >= 0
        assert self.card.held.size(GRAIN) >= 0

    @invariant()
    def who_has_the_turn_cannot_get_beyond_its_limit(self) -> None:
        if self.open in self.most:
            assert self.card.used[self.open] + self.card.free <= self.most[self.open]

    @invariant()
    def nobodys_unspent_share_can_be_taken(self) -> None:
        others = [s for s in self.standings((self.open or "",)) if s.client != self.open]
        limited = any(s.limit is not None for s in self.standings(()))
        if self.open and limited:
            held, kept = self.card.held.size(GRAIN), sum(s.ward for s in others)
            assert held >= kept or self.card.free == 0

    @invariant()
    def without_limits_nothing_is_held(self) -> None:
        if all(s.limit is None for s in self.standings(())):
            assert self.card.held.size(GRAIN) == 0


class Calm(Life):
    """Nothing unmanaged: then nobody is ever refused inside its share, to the granule."""

    surprises = False


class Unlimited(Life):
    """`limit: none`: figures of a client's own are the only limits."""

    pool = Pool("GPU-1", 400, 4, reserve=DRIVER, limited=False)


class Oversold(Life):
    """Limits add up to twice the GPU."""

    pool = Pool("GPU-1", 400, 4, reserve=DRIVER, oversubscribe=2.0)


class Odd(Life):
    """Sizes that are no multiple of anything."""

    pool = Pool("GPU-1", 397, 7, reserve=11)


Life.TestCase.settings = PROFILE
Calm.TestCase.settings = PROFILE
Unlimited.TestCase.settings = PROFILE
Oversold.TestCase.settings = PROFILE
Odd.TestCase.settings = PROFILE

TestLife = Life.TestCase
TestCalm = Calm.TestCase
TestUnlimited = Unlimited.TestCase
TestOversold = Oversold.TestCase
TestOdd = Odd.TestCase
