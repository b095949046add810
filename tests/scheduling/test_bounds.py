"""The bounds of docs/design/turns.md, for any mix of clients, in virtual time.

The suite runs a fixed set of examples. `ROTA_EXAMPLES=5000 pytest tests/scheduling` draws that
many at random instead.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator
from dataclasses import dataclass, field

from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from rota.scheduling.ensemble import Ensemble, Handover
from rota.scheduling.terms import Priority, Rules, Share

TICK = 0.002
DRAIN = 0.15
SEEN = 5 * TICK  # to see a demand, to decide, to open, to close, to see it done
RANDOM = os.environ.get("ROTA_EXAMPLES")
PROFILE = settings(
    phases=[Phase.explicit, Phase.generate],
    max_examples=int(RANDOM or 20),
    derandomize=not RANDOM,
    deadline=None,
    database=None,
)


@dataclass(slots=True)
class Program:
    """What a client does: bursts of work with thought between them, over and over."""

    name: str
    gpus: tuple[str, ...]
    share: Share
    drain: float
    bursts: tuple[tuple[float, float], ...]
    arrives: float
    dies: float
    alive: bool = False
    open: bool = False
    closes_at: float | None = None
    work: float = 0.0
    thinks_until: float = 0.0
    had: float = 0.0
    waits_since: float | None = None
    script: Iterator[tuple[float, float]] = field(default_factory=lambda: iter(()))
    thought: float = 0.0

    @property
    def wanting(self) -> bool:
        return self.alive and self.work > 0

    def shares(self, other: Program) -> bool:
        return bool(set(self.gpus) & set(other.gpus))

    def arrive(self) -> None:
        self.alive = self.open = True
        self.script = itertools.cycle(self.bursts)
        self.work, self.thought = next(self.script)

    @property
    def served(self) -> bool:
        return self.open and (self.wanting or self.closes_at is not None)

    def run(self, now: float, part: float) -> None:
        """Live through one tick, with that part of the GPU."""
        if self.served:
            self.had += TICK * part
            if self.wanting:
                self.work = max(0.0, self.work - TICK)
                self.thinks_until = now + self.thought
        if not self.wanting and self.thinks_until <= now:
            self.work, self.thought = next(self.script)


class World:
    """An ensemble with programs, run tick by tick; gates take the time that draining takes."""

    def __init__(self, programs: list[Program], rules: Rules, *, overlapped: bool) -> None:
        self.ensemble = Ensemble(rules)
        self.programs = {program.name: program for program in programs}
        self.overlapped = overlapped
        self.under_way: list[Handover] = []
        self.now = 0.0

    def tick(self) -> None:
        self.now += TICK
        others = {
            one.name: sum(other.served for other in self.programs.values() if other.shares(one))
            for one in self.programs.values()
        }
        for program in self.programs.values():
            self.be_born_and_die(program)
            if program.alive:
                program.run(self.now, 1 / max(1, others[program.name]))
                if program.closes_at is None:
                    self.tell(program)
        self.close_what_is_due()
        for handover in self.ensemble.decide(self.now):
            self.begin(handover)
        self.open_what_is_clear()

    def be_born_and_die(self, program: Program) -> None:
        if not program.alive and program.arrives <= self.now < program.dies:
            program.arrive()
            self.ensemble.join(program.name, dict.fromkeys(program.gpus, program.share), self.now)
        elif program.alive and self.now >= program.dies:
            program.alive = program.open = False
            program.closes_at = program.waits_since = None
            self.ensemble.leave(program.name, self.now)

    def tell(self, program: Program) -> None:
        wanting = program.wanting
        (self.ensemble.wants if wanting else self.ensemble.idle)(program.name, self.now)
        if not wanting or program.open:
            program.waits_since = None
        elif program.waits_since is None:
            program.waits_since = self.now

    def begin(self, handover: Handover) -> None:
        for name, _ in handover.out:
            program = self.programs[name]
            program.closes_at = self.now + program.drain
        self.under_way.append(handover)
        if self.overlapped and handover.into:
            self.open(handover.into)

    def open(self, name: str) -> None:
        self.programs[name].open = True
        self.ensemble.opened(name, self.now)

    def close_what_is_due(self) -> None:
        for program in self.programs.values():
            if program.closes_at is not None and program.closes_at <= self.now:
                program.closes_at, program.open = None, False
                self.ensemble.closed(program.name, self.now, program.drain)

    def open_what_is_clear(self) -> None:
        for handover in list(self.under_way):
            out = [self.programs[name] for name, _ in handover.out]
            if any(program.closes_at is not None for program in out):
                continue
            self.under_way.remove(handover)
            if handover.into and self.is_coming(handover.into):
                self.open(handover.into)

    def is_coming(self, name: str) -> bool:
        return any(rota.coming == name for rota in self.ensemble.rotas.values())

    def on(self, gpu: str) -> list[Program]:
        return [p for p in self.programs.values() if p.alive and gpu in p.gpus]

    def wasted(self, gpu: str) -> bool:
        """Somebody waits for this GPU, nobody has it, and nobody is about to."""
        rota = self.ensemble.rotas.get(gpu)
        if rota is None or rota.coming or any(program.open for program in self.on(gpu)):
            return False
        return bool(self.wanting(gpu))

    def wanting(self, gpu: str) -> set[str]:
        """Who wants the GPU, and has been seen to."""
        rota = self.ensemble.rotas.get(gpu, ())
        seen = {member.client for member in rota if member.wanting}
        return {name for name in seen if self.programs[name].wanting}

    def check(self) -> None:
        """Rota and world agree, whatever happened."""
        for gpu, rota in self.ensemble.rotas.items():
            alive = {program.name for program in self.on(gpu)}
            assert {member.client for member in rota} == alive
            assert rota.holder in {None, *alive}
            assert rota.coming in {None, *alive}
            for member in rota:
                assert member.open == self.programs[member.client].open


def spells() -> st.SearchStrategy[float]:
    return st.sampled_from([0.002, 0.01, 0.05, 0.2, 1.0, 5.0])


def programs_on(*sets: tuple[str, ...], drain: float) -> st.SearchStrategy[list[Program]]:
    share = st.builds(
        Share,
        replicas=st.integers(1, 3),
        weight=st.sampled_from([0.25, 1.0, 1.0, 1.0, 4.0]),
        priority=st.sampled_from([*Priority, Priority.STANDARD, Priority.STANDARD]),
    )
    one = st.builds(
        Program,
        name=st.just(""),
        gpus=st.sampled_from(sets),
        share=share,
        drain=st.sampled_from([0.0, 0.002, 0.01, drain]),
        bursts=st.lists(st.tuples(spells(), spells()), min_size=1, max_size=3).map(tuple),
        arrives=st.sampled_from([0.0, 0.0, 0.1, 0.7, 1.5]),
        dies=st.sampled_from([99.0, 99.0, 99.0, 0.35, 1.9]),
    )

    def named(programs: list[Program]) -> list[Program]:
        for number, program in enumerate(programs):
            program.name = f"client-{number}"
        return programs

    return st.lists(one, min_size=2, max_size=5).map(named)


rules = st.builds(
    Rules,
    quantum=st.sampled_from([0.02, 0.1]),
    minimum=st.sampled_from([0.004, 0.02]),
    burst=st.sampled_from([0.0, 0.008]),
)


def lead(one: Program, other: Program, rules: Rules) -> float:
    """How far `one` can get ahead of `other` while both want the GPU, in virtual time."""
    turn = rules.quantum + rules.grain + 2 * DRAIN + SEEN
    return turn / one.share.size + rules.lag / other.share.size


@PROFILE
@given(programs_on(("G",), drain=DRAIN), rules, st.booleans())
def test_service_of_two_that_want_it_differs_from_their_shares_by_a_bound(
    programs: list[Program], rules: Rules, overlapped: bool
) -> None:
    world = World(programs, rules, overlapped=overlapped)
    extremes: dict[tuple[str, str], tuple[float, float]] = {}
    while world.now < 3.0:
        world.tick()
        for one, other in itertools.combinations(programs, 2):
            pair = one.name, other.name
            if not (one.wanting and other.wanting):
                extremes.pop(pair, None)
                continue
            gap = one.had / one.share.size - other.had / other.share.size
            low, high = extremes.get(pair, (gap, gap))
            extremes[pair] = low, high = min(low, gap), max(high, gap)
            assert high - low <= lead(one, other, rules) + lead(other, one, rules)


@PROFILE
@given(programs_on(("G",), drain=DRAIN), rules, st.booleans())
def test_who_wants_the_gpu_waits_no_longer_than_the_bound(
    programs: list[Program], rules: Rules, overlapped: bool
) -> None:
    world = World(programs, rules, overlapped=overlapped)

    def bound(one: Program) -> float:
        turn = rules.quantum + rules.grain + 2 * DRAIN + SEEN
        return sum(
            other.share.size / one.share.size * turn + rules.lag + turn
            for other in programs
            if other is not one
        )

    while world.now < 3.0:
        world.tick()
        for program in programs:
            if program.waits_since is not None:
                assert world.now - program.waits_since <= bound(program)


@PROFILE
@given(programs_on(("G",), drain=DRAIN), rules, st.booleans())
def test_a_gpu_is_never_without_a_client_while_one_wants_it(
    programs: list[Program], rules: Rules, overlapped: bool
) -> None:
    world = World(programs, rules, overlapped=overlapped)
    while world.now < 2.0:
        world.tick()
        world.check()
        assert not world.wasted("G")


@PROFILE
@given(
    programs_on(("A",), ("B",), ("C",), ("A", "B"), ("B", "C"), ("A", "B", "C"), drain=0.03),
    rules,
    st.booleans(),
)
def test_a_client_of_several_gpus_costs_each_at_most_a_minimum_and_drains(
    programs: list[Program], rules: Rules, overlapped: bool
) -> None:
    world = World(programs, rules, overlapped=overlapped)
    spell = dict.fromkeys("ABC", 0.0)
    while world.now < 3.0:
        world.tick()
        world.check()
        for gpu in "ABC":
            alone = {world.programs[name].gpus for name in world.wanting(gpu)} == {(gpu,)}
            spell[gpu] = spell[gpu] + TICK if alone and world.wasted(gpu) else 0.0
            assert spell[gpu] <= rules.minimum + 2 * TICK


@PROFILE
@given(
    programs_on(("A",), ("B",), ("A", "B"), ("B", "C"), ("A", "B", "C"), drain=0.03),
    rules,
    st.booleans(),
)
def test_a_client_of_several_gpus_is_not_starved(
    programs: list[Program], rules: Rules, overlapped: bool
) -> None:
    world = World(programs, rules, overlapped=overlapped)
    turn = rules.quantum + rules.grain + rules.minimum + rules.lag + 0.03 + SEEN
    total = sum(program.share.size for program in programs)
    while world.now < 6.0:
        world.tick()
        for program in programs:
            bound = 2 * len(programs) * turn * (1 + total / program.share.size)
            if program.waits_since is not None:
                assert world.now - program.waits_since <= bound


@PROFILE
@given(programs_on(("A",), ("B",), ("A", "B"), drain=0.01), st.data())
def test_removing_anybody_at_any_point_leaves_a_consistent_rota(
    programs: list[Program], data: st.DataObject
) -> None:
    world = World(programs, Rules(quantum=0.02, minimum=0.004), overlapped=data.draw(st.booleans()))
    for program in programs:
        program.dies = data.draw(st.integers(1, 200)) * TICK
        program.arrives = 0.0
    while world.now < 0.5:
        world.tick()
        world.check()
    assert not world.ensemble.clients
    assert all(
        rota.holder is None and rota.coming is None for rota in world.ensemble.rotas.values()
    )


@PROFILE
@given(programs_on(("G",), drain=0.01), st.data())
def test_shares_and_rules_change_live_and_the_bound_of_the_new_ones_holds(
    programs: list[Program], data: st.DataObject
) -> None:
    for program in programs:
        program.arrives, program.dies, program.bursts = 0.0, 99.0, ((99.0, 1.0),)
    world = World(programs, Rules(), overlapped=data.draw(st.booleans()))
    while world.now < data.draw(st.sampled_from([0.1, 0.31, 0.77])):
        world.tick()
    new = Rules(quantum=0.04, minimum=0.004)
    world.ensemble.set_rules(new)
    for program in programs:
        program.share = Share(weight=data.draw(st.sampled_from([1.0, 2.0, 3.0])))
        world.ensemble.set_shares(program.name, {"G": program.share}, world.now)
    while world.now < 4.0:
        world.tick()
    before = {program.name: program.had for program in programs}
    while world.now < 6.0:
        world.tick()
    total = sum(program.share.size for program in programs)
    had = sum(program.had - before[program.name] for program in programs)
    for program in programs:
        due = had * program.share.size / total
        allowed = new.quantum + new.grain + new.lag + 0.01 + SEEN
        assert abs(program.had - before[program.name] - due) <= 2 * allowed
