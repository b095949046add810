"""One colour a client, the same in the terminal, on the page and in plots. Pure.

The colours are those of Okabe and Ito (2008) that stand on dark and on light ground, told apart by
people of all kinds of colour vision. No colour says anything that is not also written.
"""

from __future__ import annotations

from collections.abc import Iterable

COLOURS = ("#e69f00", "#56b4e9", "#009e73", "#cc79a7", "#d55e00", "#0072b2")


def colours(clients: Iterable[str]) -> dict[str, str]:
    """Client → colour. A client mostly keeps its colour while others come and go.

    Each takes the colour that its name hashes to, or the next one that is free; with more clients
    than colours, colours come again. The page does the same (`web/page/colours.js`).
    """
    names = sorted(set(clients))
    taken: dict[int, int] = dict.fromkeys(range(len(COLOURS)), 0)
    found: dict[str, str] = {}
    for name in names:
        first, least = _hash(name), min(taken.values())
        places = ((first + step) % len(COLOURS) for step in range(len(COLOURS)))
        place = next(place for place in places if taken[place] == least)
        taken[place] += 1
        found[name] = COLOURS[place]
    return found


def _hash(text: str) -> int:
    """FNV-1a of 32 bits: a few lines in any language."""
    value = 0x811C9DC5
    for byte in text.encode():
        value = (value ^ byte) * 0x01000193 & 0xFFFFFFFF
    return value
