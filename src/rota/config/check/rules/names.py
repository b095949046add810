"""Resource names: what pods and quotas name is what some config serves."""

from __future__ import annotations

from collections.abc import Iterator
from difflib import get_close_matches

from rota.config.check.capacity import MIG_PREFIX, WHOLE, offers, served_as, serves
from rota.config.check.pods import DOMAIN
from rota.config.check.registry import Theme, found
from rota.config.check.world import World
from rota.config.findings import Finding, Mark


def pods_name_what_is_served(world: World) -> Iterator[Finding]:
    """A pod asks for a resource that some node can have."""
    for pod in world.pods:
        told: set[str] = set()
        for _, name, value in pod.requests():
            if name not in told:
                told.add(name)
                yield from unserved(world, name, value.mark, f"{pod.owner.title} asks for {name}")


def unserved(world: World, name: str, mark: Mark, who: str) -> Iterator[Finding]:
    """What to say of a resource that nothing serves; nothing where it is served.

    Args:
        world: all that was read.
        name: the resource's full name.
        mark: where it is named.
        who: how the sentence begins.
    """
    if not name.startswith(DOMAIN):
        hint = f"write {WHOLE}"
        yield found("resource-name", mark, f"{who}, which is no resource of NVIDIA's plugin", hint)
        return
    configs = [c for c in world.served() if c.config is not None]
    if not configs or any(c.config and serves(c.config, name) for c in configs):
        return
    new = _renames(world).get(name)
    if new:
        what = f"{who}, which the config renames to {new}: no node has it"
        yield found("resource-renamed", mark, what, f"write {new}")
        return
    what = f"{who}, which no config serves: it waits for ever"
    yield found("resource-unserved", mark, what, _served_instead(world, name))


def _renames(world: World) -> dict[str, str]:
    return {
        entry.name: served_as(entry, c.config)
        for c in world.served()
        if c.config
        for entry in c.config.sharing.resources
        if served_as(entry, c.config) != entry.name
    }


def _served_instead(world: World, name: str) -> str:
    names = sorted({o for c in world.served() if c.config for o in offers(c.config)})
    if name.startswith(MIG_PREFIX):
        return "MIG devices have names of their own under `migStrategy: mixed` only"
    near = get_close_matches(name, names, 1, 0.6) or names[:1]
    if name.endswith(".shared") and near:
        return f"nothing renames it: write {near[0]}, or set renameByDefault: true in the config"
    return f"write {near[0]}" if near else ""


THEME = Theme("names", (pods_name_what_is_served,))
