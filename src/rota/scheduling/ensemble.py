"""All GPUs of a node: a client on several of them takes its turn on all of them together.

Each GPU has a `Rota` of its own. A client of several GPUs is given its turn when it is due on one
of them and welcome on all the others: first in line there, and the holder has had its minimum.
While only a minimum is missing, the GPU on which it is due waits for it, at most that long. Where
it is not first in line, it stands aside (is parked) and the GPU goes to the next client. What one
GPU takes from it, it loses on all.
"""

from __future__ import annotations

import enum
import math
from collections.abc import Mapping
from dataclasses import dataclass

from rota.scheduling.log import Turn
from rota.scheduling.rota import Decision, Rota, Welcome
from rota.scheduling.terms import Rules, Share, Why


@dataclass(frozen=True, slots=True)
class Handover:
    """Gates to open and to close, in the order that the caller's mode asks for.

    Attributes:
        into: the client whose turn it becomes; None: only close.
        out: the clients whose gates are to be closed, and why; None: it had no turn (a newcomer).
    """

    into: str | None
    out: tuple[tuple[str, Why | None], ...] = ()


class Company(enum.Enum):
    """Who else is on the GPUs of a client."""

    NONE = enum.auto()
    IDLE = enum.auto()  # others, none of whom wants a GPU now
    WAITING = enum.auto()  # others, one of whom wants a GPU
    HOST = enum.auto()  # it works beside a holder that wants the GPU


class Ensemble:
    """The rotas of all GPUs, and which client is on which of them.

    Attributes:
        paused: there are no turns now.
        away: clients that can have no turn now, whatever they want.
    """

    def __init__(self, rules: Rules | None = None) -> None:
        self._rules = rules or Rules()
        self._rotas: dict[str, Rota] = {}
        self._on: dict[str, tuple[str, ...]] = {}
        self.paused = False
        self.away: frozenset[str] = frozenset()

    @property
    def clients(self) -> tuple[str, ...]:
        """All clients, in the order in which they came."""
        return tuple(self._on)

    @property
    def rotas(self) -> Mapping[str, Rota]:
        """The rota of each GPU that has had a client."""
        return self._rotas

    def gpus(self, client: str) -> tuple[str, ...]:
        """The GPUs that the client is on."""
        return self._on[client]

    def holds(self, client: str) -> bool:
        """It is this client's turn."""
        return any(rota.holder == client for rota in self._of(client))

    def has(self, client: str) -> bool:
        """The client takes turns."""
        return client in self._on

    def is_coming(self, client: str) -> bool:
        """A handover to this client is under way."""
        return client in self._on and any(rota.coming == client for rota in self._of(client))

    def gives_way(self, client: str) -> bool:
        """Somebody else is starting on a GPU of this client, and goes first where it is not."""
        return any(rota.gives_way(client) for rota in self._of(client))

    def company(self, client: str) -> Company:
        """Who else is there: it tells how closely the client is to be watched."""
        company = Company.NONE
        for rota in self._of(client):
            if rota.is_wanted_besides(client):
                return Company.HOST if rota.is_guest(client) else Company.WAITING
            if len(rota) > 1:
                company = Company.IDLE
        return company

    def stands_until(self, now: float) -> float:
        """Until when `decide` finds nothing new to do, unless something is told before."""
        return min((rota.stands_until(now) for rota in self._rotas.values()), default=math.inf)

    def set_rules(self, rules: Rules) -> None:
        """Change quantum and the like, from now on."""
        self._rules = rules
        for rota in self._rotas.values():
            rota.rules = rules

    def join(self, client: str, shares: Mapping[str, Share], now: float) -> None:
        """A client appears, its gates open, with a share on each of its GPUs."""
        for gpu in shares:
            self._rotas.setdefault(gpu, Rota(gpu, self._rules, now))
        self._on[client] = tuple(sorted(shares))
        rotas = self._of(client)
        hold = all(rota.holder is None and rota.coming is None for rota in rotas)
        for rota in rotas:
            rota.join(client, shares[rota.gpu], now, hold=hold)

    def leave(self, client: str, now: float, why: Why = Why.EXITED) -> list[Turn]:
        """A client is no more (or runs ungated from now on). Returns the turns that end by it."""
        ended = [rota.leave(client, now, why) for rota in self._of(client)]
        del self._on[client]
        return [turn for turn in ended if turn]

    def set_shares(self, client: str, shares: Mapping[str, Share], now: float) -> None:
        """Change what a client is due on the GPUs that it is on."""
        for rota in self._of(client):
            if rota.gpu in shares:
                rota.set_share(client, shares[rota.gpu], now)

    def wants(self, client: str, now: float) -> None:
        """The client wants the GPU."""
        for rota in self._of(client):
            rota.wants(client, now)

    def idle(self, client: str, now: float) -> list[Turn]:
        """The client does not want the GPU. Returns the turns of a guest that end by it."""
        ended = [rota.idle(client, now) for rota in self._of(client)]
        return [turn for turn in ended if turn]

    def starting(self, client: str, now: float) -> None:
        """A process of the client is about to make its context."""
        for rota in self._of(client):
            rota.starting(client, now)

    def started(self, client: str) -> None:
        """The client has no process without a context any more."""
        for rota in self._of(client):
            rota.started(client)

    def opened(self, client: str, now: float) -> list[Turn]:
        """The client's gates are open: its turn begins on all of its GPUs.

        Returns the turns of those who held them and whose gates stay open.
        """
        ended = [rota.opened(client, now) for rota in self._of(client)]
        return [turn for turn in ended if turn]

    def closed(self, client: str, now: float, closing: float = 0.0) -> list[Turn]:
        """The client's gates are closed, which took `closing` seconds. Returns the turns it ends."""
        ended = [rota.closed(client, now, closing) for rota in self._of(client)]
        return [turn for turn in ended if turn]

    def refused(self, client: str, now: float) -> None:
        """The client's gates would not close and are open again."""
        for rota in self._of(client):
            rota.refused(client, now)

    def abandon(self, client: str) -> None:
        """The handover to this client does not come about."""
        for rota in self._of(client):
            rota.abandon(client)

    def pause(self, now: float) -> list[Turn]:
        """Turns stop: the caller opens every gate. Returns the turns that end by it."""
        self.paused = True
        return [turn for client in self._on for turn in self.closed(client, now)]

    def resume(self, now: float) -> None:
        """Turns go on with all gates open, as after a start; nobody is charged for the pause."""
        shares = {
            client: {rota.gpu: rota.share(client) for rota in self._of(client)}
            for client in self._on
        }
        self._rotas, self._on, self.paused = {}, {}, False
        for client, on in shares.items():
            self.join(client, on, now)

    def decide(self, now: float) -> list[Handover]:
        """What to do now. Each handover named here is under way from now on."""
        if self.paused:
            return []
        handovers = [found for gpu in sorted(self._rotas) if (found := self._decide(gpu, now))]
        for client in dict.fromkeys([*self._strays(now), *self._dismissed(now)]):
            for rota in self._of(client):
                rota.closing(client, now, None)
            handovers.append(Handover(None, ((client, None),)))
        return handovers

    def _of(self, client: str) -> list[Rota]:
        return [self._rotas[gpu] for gpu in self._on[client]]

    def _strays(self, now: float) -> list[str]:
        """Each client whose gates are open though it is not its turn, once."""
        found = dict.fromkeys(
            client for rota in self._rotas.values() for client in rota.strays(now)
        )
        return [c for c in found if not any(rota.coming == c for rota in self._of(c))]

    def _dismissed(self, now: float) -> list[str]:
        """Each client whose gates are open though it can have no turn."""
        return [
            client
            for client in self.away
            if client in self._on
            and any(rota.is_to_go(client, now) for rota in self._of(client))
            and not any(rota.coming == client for rota in self._of(client))
        ]

    def _decide(self, gpu: str, now: float) -> Handover | None:
        """The handover that this GPU asks for; clients that are not welcome elsewhere stand aside."""
        rota, aside = self._rotas[gpu], set(self.away)
        while (decision := rota.decide(now, aside)).into:
            answer = self._welcome(decision.into, gpu, now)
            if answer is Welcome.YES:
                return self._hand_over(decision, gpu, now)
            if answer is Welcome.SOON:
                return None
            rota.park(decision.into, True)
            aside.add(decision.into)
        return None

    def _welcome(self, client: str, due_on: str, now: float) -> Welcome:
        """The least welcoming answer of the client's other GPUs."""
        answers = {rota.welcomes(client, now) for rota in self._of(client) if rota.gpu != due_on}
        for answer in (Welcome.NO, Welcome.SOON):
            if answer in answers:
                return answer
        return Welcome.YES

    def _hand_over(self, decision: Decision, gpu: str, now: float) -> Handover:
        """Start the handover on all GPUs of the next client; whoever holds one of them goes."""
        assert decision.into is not None
        out: dict[str, Why | None] = {}
        for rota in self._of(decision.into):
            holder = rota.holder
            why = decision.why if rota.gpu == gpu else Why.PREEMPTED
            stays = holder is not None and len(self._on[holder]) == 1 and rota.may_stay(decision)
            if holder is not None and holder != decision.into and not stays:
                out.setdefault(holder, why)
            rota.hand_over(Decision(decision.into), now, stays=stays)
        for client, why in out.items():
            for rota in self._of(client):
                rota.closing(client, now, why)
        return Handover(decision.into, tuple(out.items()))
