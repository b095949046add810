"""What a set-up comes to, in sentences: the good news of `rota check`."""

from __future__ import annotations

from collections.abc import Iterator

from rota.config.check.capacity import served_as
from rota.config.check.pods import amount
from rota.config.check.world import ConfigText, Pod, World
from rota.config.document import find
from rota.config.schema import Config, SharedResource

MOST = 12
"""Sentences of one kind before the rest is counted."""


def sentences(world: World) -> Iterator[str]:
    """One sentence for each config and each thing that asks for GPUs."""
    told = [s for text in world.configs if text.config for s in _config(text, text.config, world)]
    yield from _few(told)
    yield from _few([s for pod in world.pods if (s := _pod(pod))])
    if not told and not world.pods:
        yield "Nothing here shares a GPU or asks for one."


def _few(told: list[str]) -> list[str]:
    told = list(dict.fromkeys(told))
    rest = len(told) - MOST
    return [*told[:MOST], f"… and {rest} more"] if rest > 0 else told


def _config(text: ConfigText, config: Config, world: World) -> Iterator[str]:
    where = "the default of its policy" if _is_default(text, world) else ""
    tail = f", {where}" if where else ""
    if not config.sharing.resources:
        yield f"every GPU stays one, from {text.title}{tail}"
    for entry in config.sharing.resources:
        yield f"{_shared(entry, config)}, from {text.title}{tail}"


def _shared(entry: SharedResource, config: Config) -> str:
    name = served_as(entry, config)
    if entry.devices.all:
        which = "per GPU"
    elif entry.devices.count:
        which = f"on each of {entry.devices.count} GPUs"
    else:
        which = "on GPU " + ", ".join(entry.devices.items)
    renamed = f" (instead of {entry.name})" if name != entry.name else ""
    return f"{name} × {entry.replicas} {which}{renamed}"


def _is_default(text: ConfigText, world: World) -> bool:
    return text.owner is not None and any(
        policy.default is not None and policy.default.value == text.key
        for policy in world.policies
        if text.owner in world.named_by(policy)
    )


def _pod(pod: Pod) -> str:
    asked = [
        f"{int(number)} {name}"
        for _, name, value in pod.requests()
        if (number := amount(value)) is not None
    ]
    if not asked:
        return ""
    copies = find(pod.owner.node, "spec", "replicas")
    count = amount(copies) if copies else None
    pods = f"{int(count)} pods of " if count is not None and count > 1 else ""
    each = " each" if pods else ""
    return f"{pods}{pod.owner.title} ask{'' if pods else 's'} for {' and '.join(asked)}{each}"
