"""What apply writes onto an object so that rollback knows what to do with it. Pure.

A label says that apply was here. An annotation holds what the object said before, where it was there
already; without one, apply made it. Both are written in the same request as the change itself: an
object is never changed without being remembered, wherever a command is interrupted.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from rota.cluster.door import Object, annotations_of, labels_of, metadata
from rota.deploy.kinds import kind_of, place_of, title
from rota.errors import RotaError

MANAGER = "rota-apply"
"""Who owns what apply sets, in `managedFields`."""

RESTORED = "rota-restored"
"""Who owns what rollback has put back."""

APPLIED = "rota.dev/applied"
"""The label: which overlay was applied."""

BEFORE = "rota.dev/before"
"""The annotation: what the object said before, of what apply sets."""

MOST = 200_000
"""Characters that may be remembered; all annotations of an object may have 256 KiB."""

_IDENTITY = ("name", "namespace")


class TooMuch(RotaError):
    """What an object says is too long to be remembered on it."""


def is_ours(thing: Object) -> bool:
    """Apply was here."""
    return APPLIED in labels_of(thing)


def overlay_of(thing: Object) -> str:
    """Which overlay was applied; empty for none."""
    return labels_of(thing).get(APPLIED, "")


def before_of(thing: Object) -> Mapping[str, Any] | None:
    """What it said before apply; None where apply made it.

    Raises:
        RotaError: the annotation is there, and somebody has spoilt it.
    """
    text = annotations_of(thing).get(BEFORE)
    if text is None:
        return None
    try:
        found = json.loads(text)
        assert isinstance(found, dict)
    except (ValueError, AssertionError):
        where = title(kind_of(thing), *reversed(place_of(thing)))
        hint = "put back by hand what it said, and remove the annotation and the label rota.dev/applied"
        raise RotaError(f"its annotation {BEFORE} is spoilt", where=where, hint=hint) from None
    return found


def to_apply(thing: Object, live: Object | None, overlay: str) -> dict[str, Any]:
    """The body that makes of `live` what `thing` says, and remembers what was there.

    Args:
        thing: what is wanted.
        live: what is there; None for nothing.
        overlay: what is applied.

    Raises:
        TooMuch: what is there is too long to be remembered.
    """
    meta = dict(metadata(thing))
    meta["labels"] = {**(meta.get("labels") or {}), APPLIED: overlay}
    if live is not None:
        meta |= _memory(thing, live)
    return {**thing, "metadata": meta}


def _memory(thing: Object, live: Object) -> dict[str, Any]:
    if is_ours(live):
        text = annotations_of(live).get(BEFORE)
        return {} if text is None else {"annotations": {BEFORE: text}}
    text = json.dumps(project(live, thing), separators=(",", ":"), sort_keys=True)
    if len(text) > MOST:
        where = title(kind_of(thing), *reversed(place_of(thing)))
        what = f"it is there already, and too long ({len(text)} characters) to be remembered on it"
        raise TooMuch(what, where=where, hint="remove it, or choose another name with --set")
    version = str(metadata(live).get("resourceVersion", ""))
    return {"annotations": {BEFORE: text}, "resourceVersion": version}


def project(live: Object, wanted: Object) -> dict[str, Any]:
    """What `live` says of what `wanted` sets; what it does not say is left out."""
    body = {key: value for key, value in wanted.items() if key not in ("apiVersion", "kind")}
    meta = {k: v for k, v in (body.pop("metadata", None) or {}).items() if k not in _IDENTITY}
    found = _projected(live, {**body, "metadata": meta} if meta else body)
    return found if isinstance(found, dict) else {}


def _projected(live: Any, wanted: Any) -> Any:
    if not isinstance(wanted, Mapping) or not isinstance(live, Mapping):
        return live
    pairs = {key: _projected(live[key], value) for key, value in wanted.items() if key in live}
    return {key: value for key, value in pairs.items() if value != {}}


def identity(thing: Object) -> dict[str, Any]:
    """Only which object it is: applied, it lets go of everything."""
    meta = {key: value for key, value in metadata(thing).items() if key in _IDENTITY}
    return {"apiVersion": thing["apiVersion"], "kind": thing["kind"], "metadata": meta}


def to_restore(thing: Object, before: Mapping[str, Any]) -> dict[str, Any]:
    """The body that says what was there before."""
    body = identity(thing)
    more = dict(before)
    body["metadata"] = {**body["metadata"], **(more.pop("metadata", None) or {})}
    return {**body, **more}
