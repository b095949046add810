"""What sharing does to those who share: memory, and shares too small to use."""

from __future__ import annotations

from collections.abc import Iterator

from rota.config.check.registry import Theme, found
from rota.config.check.world import World
from rota.config.document import find
from rota.config.findings import Finding, Level, Mark
from rota.config.schema import Config

MANY = 64
"""Replicas of one GPU beyond which a share is of little use: under 1 GiB of an 80 GB card's half."""


def memory_is_limited(world: World) -> Iterator[Finding]:
    """Somebody keeps replicas from taking each other's memory."""
    for text in world.configs:
        if text.config is None or not text.config.sharing.resources:
            continue
        memory = text.config.rota.memory
        if memory.limit == "none" or memory.enforce == "report":
            place = find(text.node, "rota", "memory")
            yield _given_up(text.config, (place or text).mark)
        elif text.config.rota.turns.mode == "driver":
            place = find(text.node, "rota", "turns", "mode")
            yield _without_turns(text.config, (place or text).mark)


def _without_turns(config: Config, mark: Mark) -> Finding:
    count = max(entry.replicas for entry in config.sharing.resources)
    what = f"{count} replicas share a GPU's memory, and without turns no limit is held"
    hint = "leave `mode: exclusive`, or see to it that the programs fit together"
    return found("memory-unlimited", mark, what, hint)


def _given_up(config: Config, mark: Mark) -> Finding:
    how = "limit: none" if config.rota.memory.limit == "none" else "enforce: report"
    what = f"`{how}` lets one replica take all memory of its GPU, and the others then fail"
    hint = "leave it out: the default holds each client to its share"
    return found("memory-unlimited", mark, what, hint, level=Level.WARNING)


def shares_are_useful(world: World) -> Iterator[Finding]:
    """A GPU is not cut into more pieces than programs can live on."""
    for text in world.configs:
        for number, entry in enumerate(text.config.sharing.resources if text.config else ()):
            if entry.replicas <= MANY:
                continue
            block = (
                "mps" if text.config and text.config.sharing.strategy == "mps" else "timeSlicing"
            )
            place = find(text.node, "sharing", block, "resources", number, "replicas")
            what = (
                f"{entry.replicas} replicas leave each 1/{entry.replicas} of its GPU: "
                f"{80 * 1024 // entry.replicas} MiB of 80 GiB, and a CUDA context alone takes some 500 MiB"
            )
            hint = f"{MANY} or fewer serve most uses; memory is the first thing to run out"
            yield found("replicas-many", (place or text).mark, what, hint)


THEME = Theme("sharing", (memory_is_limited, shares_are_useful))
