"""Puts an installation into a cluster, object by object, so that it may be broken off anywhere.

Each object is one request that changes it and remembers what it said (`record`). Nothing else is
kept: what is done is what stands in the cluster, so the next call goes on where this one ended, and
a call after a whole one changes nothing.
"""

from __future__ import annotations

import difflib
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from rota.cluster.door import (
    CLUSTER_POLICIES,
    DAEMON_SETS,
    Api,
    Conflict,
    Kind,
    NotFound,
    Object,
    View,
    metadata,
)
from rota.deploy.daemonset import NAME, Thing
from rota.deploy.kinds import KINDS, UNDO, kind_of, place_of, title
from rota.deploy.manifests import manifests, policy_change
from rota.deploy.options import Options
from rota.deploy.record import APPLIED, MANAGER, is_ours, to_apply
from rota.deploy.text import one_yaml

TRIES = 3
"""How often an object that somebody changes at the same moment is read anew."""

Outcome = Literal["made", "set", "same"]


@dataclass(frozen=True, slots=True)
class Step:
    """What becomes of one object.

    Attributes:
        title: which.
        outcome: what was done, or would be.
        diff: the difference as lines; empty where it was not asked for, or there is none.
    """

    title: str
    outcome: Outcome
    diff: str = ""


@dataclass(frozen=True, slots=True)
class How:
    """How an installation is done.

    Attributes:
        force: take fields that others own with another value.
        dry: `client`: only read; `server`: let the server say what would become of it.
        diff: tell differences.
    """

    force: bool = False
    dry: Literal["none", "client", "server"] = "none"
    diff: bool = False


def wanted(options: Options, policy: str) -> list[Thing]:
    """Everything that is applied, in its order; the policy last, when what it names is there."""
    return manifests(options) + ([policy_change(policy, options)] if policy else [])


async def live_image(api: Api, namespace: str) -> str:
    """The image of the installation that is there; empty for none."""
    try:
        found = await api.get(DAEMON_SETS, NAME, namespace)
    except NotFound:
        return ""
    return str(found["spec"]["template"]["spec"]["containers"][0]["image"])


async def install(api: Api, things: Sequence[Thing], overlay: str, how: How) -> AsyncIterator[Step]:
    """Apply them one after the other, and tell of each.

    Raises:
        ClusterError: the server did not take one; those before it stay.
        TooMuch: what is there cannot be remembered.
    """
    for thing in things:
        yield await _apply(api, thing, overlay, how)


async def _apply(api: Api, thing: Thing, overlay: str, how: How) -> Step:
    kind, (namespace, name) = kind_of(thing), place_of(thing)
    for attempt in range(TRIES):
        live = await read(api, kind, name, namespace)
        body = to_apply(thing, live, overlay)
        try:
            after = await _send(api, kind, body, how)
        except Conflict as error:
            if error.fields or attempt == TRIES - 1:
                raise _explained(error, kind, name, namespace) from None
            continue
        return _step(title(kind, name, namespace), live, after, how)
    raise AssertionError("unreachable")


async def read(api: Api, kind: Kind, name: str, namespace: str) -> Object | None:
    """What is there; None for nothing."""
    try:
        return await api.get(kind, name, namespace)
    except NotFound:
        return None


async def _send(api: Api, kind: Kind, body: Thing, how: How) -> Object:
    """The object afterwards, or as it would be."""
    namespace, name = place_of(body)
    if how.dry == "client":
        return body
    force = how.force or kind is CLUSTER_POLICIES
    dry = how.dry == "server"
    try:
        return await api.apply(kind, body, name, MANAGER, namespace, force=force, dry_run=dry)
    except NotFound:
        if dry and namespace:  # the namespace would be made by this very call
            return body
        raise


def _explained(error: Conflict, kind: Kind, name: str, namespace: str) -> Conflict:
    fields = f" ({', '.join(error.fields)})" if error.fields else ""
    found = Conflict(
        f"{error.what}{fields}", where=title(kind, name, namespace), fields=error.fields
    )
    if error.fields:
        found.hint = (
            "somebody else set these to something else: --force-conflicts takes them; rollback puts "
            "back what an object said that was there before the first apply"
        )
    return found


def _step(name: str, live: Object | None, after: Object, how: How) -> Step:
    outcome: Outcome = "set"
    if live is None:
        outcome = "made"
    elif how.dry == "client":
        outcome = "set" if _differs(live, after) else "same"
    elif _plain(live) == _plain(after):
        outcome = "same"
    return Step(name, outcome, _diff(name, live, after, how) if how.diff else "")


def _differs(live: Any, body: Any) -> bool:
    """Whether `live` says something else of what `body` says."""
    if isinstance(body, Mapping) and isinstance(live, Mapping):
        return any(key not in live or _differs(live[key], value) for key, value in body.items())
    return bool(live != body)


def _plain(thing: Object) -> Thing:
    """Without what the server keeps account of."""
    account = ("managedFields", "resourceVersion", "uid", "generation", "creationTimestamp")
    meta = {key: value for key, value in metadata(thing).items() if key not in account}
    body = {key: value for key, value in thing.items() if key != "status"}
    return {**body, "metadata": meta}


def _diff(name: str, live: Object | None, after: Object, how: How) -> str:
    before = {} if live is None else _plain(live)
    then = _merged(before, _plain(after)) if how.dry == "client" else _plain(after)
    old = one_yaml(_sorted(before)).splitlines() if before else []
    new = one_yaml(_sorted(then)).splitlines()
    lines = difflib.unified_diff(old, new, f"now/{name}", f"then/{name}", lineterm="")
    return "\n".join(lines)


def _merged(live: Any, body: Any) -> Any:
    if isinstance(live, Mapping) and isinstance(body, Mapping):
        return {**live, **{key: _merged(live.get(key), value) for key, value in body.items()}}
    return body


def _sorted(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _sorted(value[key]) for key in sorted(value)}
    return [_sorted(each) for each in value] if isinstance(value, list) else value


async def strays(api: Api, things: Sequence[Thing]) -> list[tuple[Kind, Object]]:
    """What an earlier apply made or changed, and this one does not name, in the order to undo it."""
    kept = {(kind_of(thing), *place_of(thing)) for thing in things}
    return [(kind, one) for kind, one in await applied(api) if (kind, *place_of(one)) not in kept]


async def applied(api: Api) -> list[tuple[Kind, Object]]:
    """Everything that apply made or changed, in the order in which it is undone."""
    found: list[tuple[Kind, Object]] = []
    for kind in UNDO:
        if kind not in KINDS:
            continue
        try:
            listing = await api.list(View(kind, labels=APPLIED), fresh=True)
        except NotFound:  # no such kind in this cluster
            continue
        head = {"apiVersion": kind.api_version, "kind": kind.kind}
        found += [(kind, {**head, **one}) for one in listing.items if is_ours(one)]
    return found
