"""The rules by which a turn ends, each as a sentence about two members of a rota."""

from __future__ import annotations

from collections.abc import Iterable

from rota.scheduling.member import Member
from rota.scheduling.terms import Rules


def due(rules: Rules, holder: Member, chosen: Member) -> bool:
    """The next client is not ahead of the holder, by more than a grain of the larger one's service.

    Without that grain a client whose drains are a little shorter than another's would now and then
    get two turns in a row. Where the next is further ahead, the holder is kept.
    """
    grain = rules.grain / max(holder.size, chosen.size)
    return chosen.virtual <= holder.virtual + grain


def preempts(rules: Rules, holder: Member, chosen: Member, now: float) -> bool:
    """A waking client preempts a holder that is ahead of it by more than a grain."""
    if not chosen.fresh:
        return False
    behind = holder.virtual - chosen.virtual
    if chosen.urgent:
        return behind >= 0
    return holder.ran(now) >= rules.minimum and behind > rules.grain / chosen.size


def makes_context(rules: Rules, holder: Member, now: float) -> bool:
    """A process of the holder is making its context: not to be interrupted, for a while."""
    return holder.starting and holder.turn is not None and holder.ran(now) < rules.start_limit


def slice_of(rules: Rules, member: Member, members: Iterable[Member]) -> float:
    """The longest that a turn of this member lasts while another client is due, in seconds.

    The quantum for the largest share that wants the GPU, in proportion less for the others.
    """
    largest = max((other.size for other in members if other.wanting), default=member.size)
    return max(rules.minimum, rules.quantum * min(1.0, member.size / largest))
