"""Bars and little curves of characters. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from rich.text import Text

GREY = "grey50"


@dataclass(frozen=True, slots=True)
class Look:
    """What the terminal can show.

    Attributes:
        unicode: more than ASCII.
        colour: colours; without them, letters stand for clients.
    """

    unicode: bool = True
    colour: bool = True

    @property
    def curve(self) -> str:
        """Characters from nothing to full."""
        return " ▁▂▃▄▅▆▇█" if self.unicode else " .:-=+*#%"

    @property
    def rest(self) -> str:
        """What an empty stretch of a bar is made of."""
        return "·" if self.unicode else "."

    @property
    def held(self) -> str:
        """What memory that is held back is made of."""
        return "░" if self.unicode else ":"

    @property
    def cut(self) -> str:
        """Stands for what there was no room for."""
        return "…" if self.unicode else "~"


class Part(NamedTuple):
    """A stretch of a bar: how long it is, with 1 for the whole, its character, and its colour."""

    size: float
    sign: str
    colour: str


def bar(parts: Iterable[Part], width: int, look: Look) -> Text:
    """Parts beside one another. What is there at all is seen where there is room for it."""
    text, filled, at = Text(), 0, 0.0
    for part in parts:
        at = min(1.0, at + max(0.0, part.size))
        end = round(at * width)
        if end == filled and part.size > 0:
            end = min(width, filled + 1)
        text.append(part.sign * (end - filled), style=part.colour if look.colour else "")
        filled = max(filled, end)
    text.append(look.rest * (width - filled), style=GREY if look.colour else "")
    return text


def curve(values: Sequence[float], width: int, look: Look) -> str:
    """The last `width` values, each 0 to 1, as one character each; blank where there was none."""
    signs = look.curve
    last = list(values)[-width:] if width else []
    drawn = "".join(signs[_level(value, len(signs))] for value in last)
    return drawn.rjust(width)


def _level(value: float, levels: int) -> int:
    """A value above 0 is never drawn as nothing."""
    level = round(min(1.0, max(0.0, value)) * (levels - 1))
    return max(1, level) if value > 0.005 else level


def fit(text: str, width: int, look: Look) -> str:
    """Cut out of the middle what there is no room for: the end of a pod's name tells it apart."""
    if len(text) <= width:
        return text
    head = (width - 1) // 2
    return text[:head] + look.cut + text[len(text) - (width - 1 - head) :]
