"""Kinds that nobody told us of."""

from __future__ import annotations

from collections.abc import Iterator
from difflib import get_close_matches

from rota.config.check.pods import KNOWN_KINDS, pods_in
from rota.config.check.registry import Theme, found
from rota.config.check.world import World
from rota.config.document import find
from rota.config.findings import Finding


def kinds_are_known(world: World) -> Iterator[Finding]:
    """A kind that is not known is named, once."""
    told: set[str] = set()
    for manifest in world.unknown_kinds:
        if manifest.kind in told:
            continue
        told.add(manifest.kind)
        place = find(manifest.node, "kind") or manifest.node
        near = get_close_matches(manifest.kind, sorted(KNOWN_KINDS), 1, 0.85)
        pods = any(True for _ in pods_in(manifest))
        how = "its containers are checked like a pod's" if pods else "it is not checked"
        hint = f"did you mean `{near[0]}`?" if near else ""
        yield found(
            "kind-unknown", place.mark, f"kind `{manifest.kind}` is not known here: {how}", hint
        )


THEME = Theme("objects", (kinds_are_known,))
