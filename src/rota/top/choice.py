"""What somebody wants to see of the clients: which, in which order. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from rota.figures.model import ClientFigures

ORDERS: Mapping[str, Callable[[ClientFigures], Any]] = {
    "name": lambda one: 0,
    "gpu%": lambda one: -one.utilization,
    "memory": lambda one: -one.memory_bytes,
    "wait": lambda one: -(one.wait_p95 or 0.0),
    "share": lambda one: -one.share,
}
"""Name → key of sorting; equals stand by GPU and name."""

KEYS = {"n": "name", "g": "gpu%", "m": "memory", "w": "wait", "h": "share"}
"""Key → the order that it chooses."""

HELP = "q quit  p pause  s sort  r reverse  / filter"
ESCAPE, ENTER, ERASE = "\x1b", ("\r", "\n"), ("\x7f", "\b")


@dataclass(frozen=True, slots=True)
class Choice:
    """What is shown.

    Attributes:
        namespace: only pods of it; empty for all clients.
        order: one of `ORDERS`.
        reverse: the other way round.
        text: only clients with this in their name or state, whatever its case.
        typing: the text is being typed.
        paused: nothing moves.
        quit: it is enough.
    """

    namespace: str = ""
    order: str = "name"
    reverse: bool = False
    text: str = ""
    typing: bool = False
    paused: bool = False
    quit: bool = False

    def of(self, clients: Iterable[ClientFigures]) -> list[ClientFigures]:
        """Those that are wanted, in order."""
        chosen = [one for one in clients if self._wants(one)]
        chosen.sort(key=lambda one: (one.gpu, one.client))
        return sorted(chosen, key=ORDERS[self.order], reverse=self.reverse)

    def _wants(self, one: ClientFigures) -> bool:
        said = f"{one.client} {one.user} {one.state}".lower()
        return self.namespace in ("", one.namespace) and self.text.lower() in said

    def press(self, key: str) -> Choice:
        """What is wanted after that key."""
        if self.typing:
            return self._type(key)
        if key in KEYS:
            return replace(self, order=KEYS[key])
        if key == ESCAPE:
            return replace(self, text="")
        changes: dict[str, dict[str, Any]] = {
            "q": {"quit": True},
            "p": {"paused": not self.paused},
            " ": {"paused": not self.paused},
            "s": {"order": self._next()},
            "r": {"reverse": not self.reverse},
            "/": {"typing": True, "text": ""},
        }
        return replace(self, **changes.get(key, {}))

    def _type(self, key: str) -> Choice:
        if key in ENTER:
            return replace(self, typing=False)
        if key == ESCAPE:
            return replace(self, typing=False, text="")
        if key in ERASE:
            return replace(self, text=self.text[:-1])
        return replace(self, text=self.text + key) if key.isprintable() else self

    def _next(self) -> str:
        names = list(ORDERS)
        return names[(names.index(self.order) + 1) % len(names)]
