"""What sharing does to those who share: memory, and shares too small to use."""

from __future__ import annotations

from collections.abc import Iterator

from rota.config.check.registry import Theme, found
from rota.config.check.world import ConfigText, World
from rota.config.document import Mapping, find
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
        place = find(text.node, "rota", "memory")
        if memory.limit == "none" or memory.enforce == "report":
            yield _given_up(text.config, (place or text).mark)
        elif place is None:
            yield _left_open(text.config, _block(text))


def _block(text: ConfigText) -> Mark:
    """Where the sharing block begins that counts."""
    mps = text.config is not None and text.config.sharing.strategy == "mps"
    sharing = find(text.node, "sharing")
    entry = sharing.entry("mps" if mps else "timeSlicing") if isinstance(sharing, Mapping) else None
    return (entry or text).mark


def _left_open(config: Config, mark: Mark) -> Finding:
    count = max(entry.replicas for entry in config.sharing.resources)
    what = f"{count} replicas share a GPU's memory, and nothing limits one of them"
    hint = "see to it that the programs fit together; Rota limits time, not memory yet"
    return found("memory-unlimited", mark, what, hint)


def _given_up(config: Config, mark: Mark) -> Finding:
    how = "limit: none" if config.rota.memory.limit == "none" else "enforce: report"
    what = f"`{how}` lets one replica take all memory of its GPU, and the others then fail"
    hint = "leave it out: the default will hold each client to its share, once limits act"
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
