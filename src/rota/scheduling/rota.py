"""The rota of one GPU: weighted fair queueing by virtual time, as a small state machine.

A client's virtual time is the service it has had, divided by the size of its share. The next turn
goes to the waiting client with the least of it. Nobody needs to know beforehand how long a turn
or its drain will take: what it took is charged afterwards, and the next choice makes up for it
(start-time fair queueing; with bounded lag and preemption at wake-up as in EEVDF).

The caller tells what it sees (`wants`, `idle`) and what it did (`opened`, `closed`, `refused`),
and asks what to do (`decide`, `strays`). Between a decision to hand over and the `opened` that
completes it, the rota decides nothing else.
"""

from __future__ import annotations

import enum
import math
from collections.abc import Collection, Iterator
from dataclasses import dataclass

from rota.scheduling import order
from rota.scheduling.log import Turn
from rota.scheduling.member import Member, OpenTurn
from rota.scheduling.terms import Rules, Share, Why


@dataclass(frozen=True, slots=True)
class Decision:
    """What to do now.

    Attributes:
        into: the client whose turn it becomes; None: leave everything as it is.
        why: why the holder's turn ends; None where nobody holds the GPU.
    """

    into: str | None = None
    why: Why | None = None


KEEP = Decision()

BRIEF = 3
"""Turns in a row that must be no longer than a burst before a client is let in beside the holder."""


class Welcome(enum.Enum):
    """Whether a GPU would take a client of several GPUs now."""

    YES = "yes"
    SOON = "soon"  # as soon as its holder has had its minimum
    NO = "no"


class Rota:
    """Who has one GPU, who wants it, and who is next."""

    def __init__(self, gpu: str, rules: Rules, now: float) -> None:
        self.gpu = gpu
        self.rules = rules
        self._members: dict[str, Member] = {}
        self._holder: Member | None = None
        self._coming: str | None = None
        self._now = now
        self._virtual = 0.0
        self._order = 0

    @property
    def holder(self) -> str | None:
        """The client whose turn it is."""
        return self._holder.client if self._holder else None

    @property
    def coming(self) -> str | None:
        """The client that a handover is under way to."""
        return self._coming

    def share(self, client: str) -> Share:
        """What the client is due."""
        return self._members[client].share

    def __iter__(self) -> Iterator[Member]:
        return iter(self._members.values())

    def __len__(self) -> int:
        return len(self._members)

    def is_wanted_besides(self, client: str) -> bool:
        """Somebody else wants this GPU."""
        return any(member.wanting and member.client != client for member in self._members.values())

    def is_wanting(self, client: str) -> bool:
        """The client wants this GPU."""
        return self._members[client].wanting

    def is_guest(self, client: str) -> bool:
        """The client's gates are open beside the holder's."""
        return self._members[client].guest

    # Who is there

    def join(self, client: str, share: Share, now: float, *, hold: bool) -> None:
        """A client appears, with its gates open. `hold`: nobody has the GPU, so it is its turn.

        Otherwise it is a stray, whose gates are to be closed until it is due.
        """
        self._advance(now)
        self._order += 1
        member = Member(client, share, self._virtual, True, self._order, since=now)
        member.wanting = True
        self._members[client] = member
        if hold:
            self._holder = member
            member.begin(now)

    def leave(self, client: str, now: float, why: Why = Why.EXITED) -> Turn | None:
        """A client is no more, or no longer under turns. Returns the turn that ends by it."""
        self._advance(now)
        member = self._members.pop(client)
        if self._holder is member:
            self._holder = None
        if self._coming == client:
            self._coming = None
        if member.turn:
            member.turn.why = why
        return member.end(self.gpu, now, why, 0.0)

    def set_share(self, client: str, share: Share, now: float) -> None:
        """Change what a client is due, from now on; what it is behind or ahead by stays, in time."""
        self._advance(now)
        member = self._members[client]
        ahead = member.virtual - self._virtual
        member.virtual = self._virtual + ahead * member.size / share.size
        member.share = share

    # What is seen

    def wants(self, client: str, now: float) -> None:
        """The client wants the GPU: it waits at its gate, or works behind an open one."""
        member = self._members[client]
        if member.wanting:
            return
        self._advance(now)
        self._catch_up(member)
        member.wanting, member.since = True, now
        member.fresh = not member.open
        if member.guest:
            member.turn = OpenTurn(now, 0.0)

    def idle(self, client: str, now: float) -> Turn | None:
        """The client does not want the GPU now. Returns the turn of a guest that ends by it."""
        member = self._members[client]
        if not member.wanting or member.starting:
            return None
        self._advance(now)
        member.wanting = member.parked = False
        return member.finish(self.gpu, now, Why.YIELDED) if member.guest else None

    def starting(self, client: str, now: float) -> None:
        """A process of the client is about to make its context, which no gate can hold back.

        Forgotten when the turn that it gets by this has ended.
        """
        self.wants(client, now)
        member = self._members[client]
        member.starting, member.guest = True, False
        member.fresh = not member.open

    def started(self, client: str) -> None:
        """The client has no process without a context any more."""
        self._members[client].starting = False

    def park(self, client: str, parked: bool) -> None:
        """The client waits for its turn on other GPUs (or no longer does)."""
        member = self._members[client]
        if member.parked and not parked:
            self._catch_up(member)
        member.parked = parked

    # What was done

    def hand_over(self, decision: Decision, now: float, *, stays: bool = False) -> None:
        """The caller acts on `decision`: nothing else is decided until `opened` or `abandon`.

        With `stays` the holder's gates are left open, and it becomes a guest.
        """
        self._coming = decision.into
        holder = self._holder
        if holder and decision.into != holder.client and not holder.draining and not stays:
            self.closing(holder.client, now, decision.why)

    def may_stay(self, decision: Decision) -> bool:
        """The holder yields, and works for moments only: its gates need not be closed."""
        holder = self._holder
        if holder is None or holder.wanting or decision.why is not Why.YIELDED:
            return False
        return holder.brief >= BRIEF and self._is_fine(holder)

    def closing(self, client: str, now: float, why: Why | None) -> None:
        """The client's gates are being closed; what it drains is charged to it."""
        self._advance(now)
        member = self._members[client]
        member.draining = True
        if member.turn:
            member.turn.why = why

    def opened(self, client: str, now: float) -> Turn | None:
        """The client's gates are open: its turn begins. The last holder may still be draining.

        Returns the turn of a last holder whose gates stay open.
        """
        self._advance(now)
        self._coming = None
        self.park(client, False)
        last, self._holder = self._holder, self._members[client]
        guest, self._holder.guest = self._holder.guest, False
        if not (guest and self._holder.turn):  # a guest's burst goes on as its turn
            self._holder.begin(now)
        if last is None or last is self._holder or not last.open or last.draining:
            return None
        last.guest = True
        turn = last.finish(self.gpu, now, Why.YIELDED)
        last.count(turn, self.rules.burst)
        if last.wanting:  # it has just woken up
            last.since, last.turn = now, OpenTurn(now, 0.0)
        return turn

    def closed(self, client: str, now: float, closing: float = 0.0) -> Turn | None:
        """The client's gates are closed, which took `closing` seconds. Returns the turn it ends.

        A client that was cut short is taken to want the GPU still, until it is seen idle.
        """
        self._advance(now)
        member = self._members[client]
        if self._holder is member:
            self._holder = None
        member.starting = member.starting and member.turn is None
        # A guest that worked too long has woken up, and waits from now on.
        member.since, member.fresh = now, member.starting or member.guest
        turn = member.end(self.gpu, now, Why.EXPIRED, closing)
        member.count(turn, self.rules.burst)
        return turn

    def refused(self, client: str, now: float) -> None:
        """The client's gates would not close and are open again: it runs on, charged."""
        self._advance(now)
        member = self._members[client]
        member.draining, member.spared = False, now + self.rules.patience

    def abandon(self, client: str) -> None:
        """The handover to this client does not come about."""
        if self._coming == client:
            self._coming = None

    # What to do

    def decide(self, now: float, without: Collection[str] = ()) -> Decision:
        """Whose turn it becomes now, if anybody's; never one of `without`."""
        self._advance(now)
        holder = self._holder
        if self._coming or (holder and (holder.draining or holder.spared > now)):
            return KEEP
        chosen = self._next(without)
        if chosen is None or self._forestalled(chosen):
            return KEEP
        if holder is None:
            return Decision(chosen.client)
        why = self._why(holder, chosen, now)
        return Decision(chosen.client, why) if why else KEEP

    def gives_way(self, client: str) -> bool:
        """Somebody else there is starting, and goes first where this client is not."""
        return any(self._goes_first(member) for member in self if member.client != client)

    def stands_until(self, now: float) -> float:
        """Until when `decide` and `strays` say the same again, unless something is told before.

        `now` where that depends on more than the end of the holder's slice.
        """
        holder = self._holder
        others = [m for m in self if m is not holder and m.is_about]
        if not others:
            return math.inf
        if holder is None or holder.turn is None or self._coming or not holder.wanting:
            return now
        guests = [m.since + self.rules.burst for m in others if m.guest and not m.draining]
        moved = (m.fresh or m.parked or m.starting or m.spared > now for m in others if not m.guest)
        if holder.draining or holder.starting or holder.spared > now or any(moved):
            return now
        if any(m.open and (m.draining or not m.guest) for m in others):
            return now
        return min([holder.turn.start + order.slice_of(self.rules, holder, self), *guests])

    def strays(self, now: float) -> list[str]:
        """The clients whose gates are open though it is not their turn: close them."""
        self._advance(now)
        return [
            member.client
            for member in self
            if member.open
            and member is not self._holder
            and not member.draining
            and member.spared <= now
            and member.client != self._coming
            and not (member.guest and self._is_fine(member))
        ]

    def welcomes(self, client: str, now: float) -> Welcome:
        """Whether a client that is due on another GPU is first in line here too.

        Those that stand aside here are passed over: else two clients of the same GPUs, each first
        on one of them, would wait for each other.
        """
        self._advance(now)
        holder, member = self._holder, self._members[client]
        if self._coming or (holder and (holder.draining or holder.spared > now)):
            return Welcome.NO
        aside = {other.client for other in self if other.parked and other is not member}
        if (
            self._next(aside) is not member
            or self._forestalled(member)
            or (holder and order.makes_context(self.rules, holder, now))
        ):
            return Welcome.NO
        if holder is None or not holder.wanting:
            return Welcome.YES
        if not order.due(self.rules, holder, member):
            return Welcome.NO
        return Welcome.YES if holder.ran(now) >= self.rules.minimum else Welcome.SOON

    def is_to_go(self, client: str, now: float) -> bool:
        """The gates of a client that can have no turn are open: close them."""
        member = self._members[client]
        return member.open and not member.draining and member.spared <= now

    # The arithmetic

    def _next(self, without: Collection[str]) -> Member | None:
        """The waiting client with the least virtual time; a lone client has its gates open.

        A stray is in line only once it is closed, or while nobody has the GPU: else it would run
        through the drain of the client that it follows.
        """
        waiting = [
            member
            for member in self
            if member is not self._holder
            and not (member.open and self._is_barred(member))
            and member.client not in without
            and (member.wanting or len(self) == 1)
        ]
        return min(waiting, key=self._rank, default=None)

    def _is_barred(self, member: Member) -> bool:
        """Whether one whose gates are open has to close them before it is in line.

        Not a guest that works while the holder does not: it has the GPU to itself.
        """
        if member.draining or self._holder is None:
            return member.draining
        return self._holder.wanting or not member.guest

    def _is_fine(self, member: Member) -> bool:
        """Its gates may be open though it is not its turn: it works for moments, within its share."""
        if member.wanting and self._now - member.since > self.rules.burst:
            return False
        ahead = self.rules.grain / member.size
        return self.rules.burst > 0 and member.virtual <= self._virtual + ahead

    def _rank(self, member: Member) -> tuple[bool, float, float, int]:
        """The order of those who wait: by virtual time, the longest wait first among equals.

        No gate holds a starting process back, so it goes first, if its client is within its share.
        """
        return not self._goes_first(member), member.virtual, member.since, member.order

    def _goes_first(self, member: Member) -> bool:
        """It has a starting process, and is within its share."""
        return member.starting and member.virtual <= self._virtual + self.rules.grain / member.size

    def _forestalled(self, chosen: Member) -> bool:
        """A client that is still draining is due before this one: it has the GPU, and stays next."""
        return any(
            not order.due(self.rules, other, chosen)
            for other in self
            if other.draining and other.wanting and other is not self._holder
        )

    def _why(self, holder: Member, chosen: Member, now: float) -> Why | None:
        """Why the holder's turn ends in favour of `chosen`; None: it goes on."""
        if order.makes_context(self.rules, holder, now):
            return None
        if not holder.wanting:
            return Why.YIELDED
        if self._goes_first(chosen):
            return Why.PREEMPTED
        if not order.due(self.rules, holder, chosen):
            return None
        if holder.ran(now) >= order.slice_of(self.rules, holder, self):
            return Why.EXPIRED
        return Why.PREEMPTED if order.preempts(self.rules, holder, chosen, now) else None

    def _catch_up(self, member: Member) -> None:
        """An idle spell earns no more than the lag bound."""
        member.virtual = max(member.virtual, self._virtual - self.rules.lag / member.size)

    def _advance(self, now: float) -> None:
        """Charge who is open, and move the rota's own clock: the least virtual time in use.

        While nobody wants the GPU, that clock goes on as if all were served at once, so that idle
        time pays old debts.
        """
        passed, self._now = max(0.0, now - self._now), max(now, self._now)
        served = [member for member in self if member.served]
        for member in served:  # those who are on the GPU at once, the driver slices in equal parts
            member.charge(passed / len(served))
        active = [member.virtual for member in self if member.active]
        if active:
            self._virtual = max(self._virtual, min(active))
        elif self._members:
            furthest = max(member.virtual for member in self)
            moved = self._virtual + passed / sum(member.size for member in self)
            self._virtual = max(self._virtual, min(furthest, moved))
