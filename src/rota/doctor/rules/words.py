"""How findings name many things in few words."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

SHOWN = 3
"""Names that one sentence carries; the others are counted."""


def some(names: Iterable[str], more: str = "more") -> str:
    """`a, b, c and 5 more`."""
    known = list(dict.fromkeys(names))
    if len(known) <= SHOWN:
        return " and ".join([", ".join(known[:-1]), known[-1]] if len(known) > 1 else known)
    return f"{', '.join(known[:SHOWN])} and {len(known) - SHOWN} {more}"


def counts(resources: Mapping[str, int]) -> str:
    """`nvidia.com/gpu: 4, nvidia.com/gpu.shared: 2`; `none`."""
    return ", ".join(f"{name}: {count}" for name, count in sorted(resources.items())) or "none"
