"""Undoes what apply did to one object: it goes, or says again what it said before."""

from __future__ import annotations

from typing import Literal

from rota.cluster.door import CLUSTER_POLICIES, Api, Conflict, Kind, NotFound, Object, metadata
from rota.deploy.kinds import place_of
from rota.deploy.record import MANAGER, RESTORED, before_of, identity, to_restore

Undone = Literal["gone", "back"]


async def undo(api: Api, kind: Kind, thing: Object) -> Undone:
    """Undo it; what was broken off half-way is done again.

    First somebody else is made to own what was there before, and only then apply lets go of all:
    fields that nobody owns any more go, and so do the label and the annotation.

    Raises:
        ClusterError: the server did not do it.
        RotaError: what was there before cannot be read any more.
    """
    namespace, name = place_of(thing)
    before = before_of(thing)
    try:
        if before is None:
            await api.delete(kind, name, namespace, str(metadata(thing).get("uid", "")))
            return "gone"
        if before:
            body = to_restore(thing, before)
            await api.apply(kind, body, name, RESTORED, namespace, force=True)
        rest = await api.apply(kind, identity(thing), name, MANAGER, namespace, force=True)
        if kind is CLUSTER_POLICIES:
            await _swept(api, rest, name)
    except NotFound:  # somebody was quicker
        return "gone"
    except Conflict:
        if before is None:  # another one of that name, which is not ours
            return "gone"
        raise
    return "back"


async def _swept(api: Api, policy: Object, name: str) -> None:
    """A map without anything in it stays behind in an object whose schema the server does not know."""
    plugin = (policy.get("spec") or {}).get("devicePlugin") or {}
    if "config" in plugin and not plugin["config"]:
        await api.merge(CLUSTER_POLICIES, {"spec": {"devicePlugin": {"config": None}}}, name)
