"""How every client fares on each of its GPUs: its turn of now, its wait of now, its gates' calls."""

from __future__ import annotations

from typing import Any

from rota.gatekeeper.conductor import Conductor
from rota.gatekeeper.group import Group
from rota.scheduling.member import Member


def fares(conductor: Conductor, group: Group) -> dict[str, Any]:
    """What turns are to this client now, by GPU; empty for one that is not in the rota.

    `since` is when its turn began, `used` what it has had of it, `waits` from when on it has been
    waiting at closed gates; each None where there is no such thing. `beside` is how many others are
    in the rota of that GPU: with nobody there, there are no turns to speak of.
    """
    client = group.spec.id
    return {
        gpu: _fare(member, len(rota) - 1)
        for gpu, rota in conductor.ensemble.rotas.items()
        for member in rota
        if member.client == client
    }


def _fare(member: Member, others: int) -> dict[str, Any]:
    turn = member.turn
    return {
        "wants": member.wanting,
        "open": member.open,
        "since": turn.start if turn else None,
        "used": turn.used if turn else 0.0,
        "waited": turn.waited if turn else 0.0,
        "waits": member.since if member.wanting and not member.open else None,
        "beside": others,
    }


def calls(group: Group) -> dict[str, Any]:
    """How often its gates were opened and closed as one, how long that took, how often it failed."""
    return {
        "open": [group.openings.count, group.openings.seconds],
        "close": [group.closings.count, group.closings.seconds],
        "failures": group.failures,
    }
