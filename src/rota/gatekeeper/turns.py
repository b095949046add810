"""The turns as they stand: who is there, whose turn it is, and what has happened since that was decided.

The conductor and its parts share it, and nothing here does anything by itself: `members` says who is
there, `lookout` what they want, `handovers` how far their gates are.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from rota.gatekeeper.group import Group
from rota.gatekeeper.messages import Settings
from rota.gatekeeper.paging import Paging
from rota.scheduling.ensemble import Ensemble
from rota.scheduling.log import Turn, TurnLog


class Turns:
    """What is known of the turns of one node.

    Attributes:
        groups: client → its gates.
        ensemble: who is due.
        settings: by which turns are taken now.
        paging: what pages clients out and in; None: nobody does.
        log: the turns that were.
        used: client and GPU → seconds that it has had there.
        news: something has happened by which somebody else may be due.
        changed: something has happened by which somebody may join or leave the rota.
        still: nothing is under way.
    """

    def __init__(self, paging: Paging | None) -> None:
        self.groups: dict[str, Group] = {}
        self.settings = Settings()
        self.ensemble = Ensemble(self.settings.rules)
        self.paging = paging
        self.log = TurnLog()
        self.used: dict[tuple[str, str], float] = defaultdict(float)
        self.news = self.changed = True
        self.still = False

    def note(self, turns: Iterable[Turn]) -> None:
        """These have ended."""
        for turn in turns:
            self.used[turn.client, turn.gpu] += turn.used
        self.log.add(*turns)
