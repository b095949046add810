"""The objects, their versions and their history. No HTTP in here."""

from __future__ import annotations

import copy
import re
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from tests.cluster.fake.fields import Thing as Thing
from tests.cluster.fake.fields import applied, changed, conflicts, leaves, own, take

Key = tuple[str, str, str]
"""Plural, namespace, name."""

VALUE = re.compile(r"(?:[A-Za-z0-9](?:[A-Za-z0-9._-]{0,61}[A-Za-z0-9])?)?")
NAME = re.compile(r"(?:[a-z0-9.-]{1,253}/)?[A-Za-z0-9](?:[A-Za-z0-9._-]{0,61}[A-Za-z0-9])?")
GENERATIONS = ("daemonsets", "deployments")
"""Kinds whose specs are counted, for the controllers that read them."""

REASONS = {
    400: "BadRequest", 401: "Unauthorized", 403: "Forbidden", 404: "NotFound", 409: "Conflict",
    410: "Expired", 415: "UnsupportedMediaType", 422: "Invalid", 501: "NotImplemented",
    503: "ServiceUnavailable",
}  # fmt: skip


class Problem(Exception):
    """An answer that is no success."""

    def __init__(self, code: int, message: str, causes: list[Thing] | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.causes = causes or []

    def status(self) -> Thing:
        """As a Status object."""
        return {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": str(self),
            "reason": REASONS.get(self.code, "Unknown"),
            "details": {"causes": self.causes},
            "code": self.code,
        }


@dataclass(frozen=True)
class Past:
    """One change."""

    version: int
    key: Key
    before: Thing | None
    after: Thing | None


class Store:
    """All objects of a cluster."""

    def __init__(self, history: int = 100_000) -> None:
        self.version = 1000
        self.objects: dict[Key, Thing] = {}
        self.past: list[Past] = []
        self.forgotten = 1000
        self._history = history
        self._listeners: set[Callable[[Past], None]] = set()
        self.namespaced = False
        """Nothing is applied into a namespace that is not there."""

    def listen(self, listener: Callable[[Past], None]) -> Callable[[], None]:
        """Hear of every change; call what comes back to stop."""
        self._listeners.add(listener)
        return lambda: self._listeners.discard(listener)

    def forget(self) -> None:
        """Forget the history, as etcd's compaction does."""
        self.past.clear()
        self.forgotten = self.version

    def since(self, version: int) -> list[Past]:
        """Changes after that version; 410 where they are forgotten."""
        if version < self.forgotten:
            raise Problem(410, f"too old resource version: {version} ({self.forgotten})")
        return [past for past in self.past if past.version > version]

    def get(self, plural: str, namespace: str, name: str) -> Thing:
        """One object; 404 without it."""
        try:
            return self.objects[plural, namespace, name]
        except KeyError:
            raise Problem(404, f'{plural} "{name}" not found') from None

    def all(self, plural: str, namespace: str = "") -> Iterator[Thing]:
        """All of a kind, of one namespace or of all."""
        for (kind, space, _), thing in list(self.objects.items()):
            if kind == plural and namespace in ("", space):
                yield thing

    def create(
        self, plural: str, body: Thing, manager: str = "test", operation: str = "Update"
    ) -> Thing:
        """Make an object; 409 where it is there."""
        meta = dict(body.get("metadata") or {})
        key = (plural, str(meta.get("namespace", "")), str(meta["name"]))
        if key in self.objects:
            raise Problem(409, f'{plural} "{key[2]}" already exists')
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        meta |= {"uid": str(uuid.uuid4()), "creationTimestamp": now}
        thing = copy.deepcopy({**body, "metadata": meta})
        own(thing, (manager, operation), leaves(thing))
        return self._put(key, thing)

    def replace(self, plural: str, namespace: str, name: str, body: Thing, manager: str) -> Thing:
        """Put it in its place; 409 where its version is another by now."""
        before = self.get(plural, namespace, name)
        meta, known = dict(body.get("metadata") or {}), before["metadata"]
        wanted = meta.get("resourceVersion", "")
        if wanted and wanted != known["resourceVersion"]:
            what = (
                f'Operation cannot be fulfilled on {plural} "{name}": the object has been modified'
            )
            raise Problem(409, what)
        kept = {key: known[key] for key in ("uid", "creationTimestamp", "managedFields")}
        thing = copy.deepcopy({**body, "metadata": meta | kept})
        take(thing, (manager, "Update"), changed(before, thing))
        return self._put((plural, namespace, name), thing)

    def merge(self, plural: str, namespace: str, name: str, patch: Thing, manager: str) -> Thing:
        """A JSON merge patch."""
        before = self.get(plural, namespace, name)
        thing = merged(copy.deepcopy(before), patch)
        self._same_version(plural, patch, before)
        take(thing, (manager, "Update"), changed(before, thing))
        return self._put((plural, namespace, name), thing)

    def apply(
        self, plural: str, namespace: str, name: str, body: Thing, manager: str, *,
        force: bool = False, dry: bool = False,
    ) -> Thing:  # fmt: skip
        """Server-side apply: owns what is said, drops what is said no more; makes what is not there."""
        key, owner = (plural, namespace, name), (manager, "Apply")
        before = self.objects.get(key)
        if before is None:
            return self._applied_anew(key, body, owner, dry=dry)
        self._same_version(plural, body, before)
        found = conflicts(before, body, owner)
        if found and not force:
            causes = [
                {"reason": "FieldManagerConflict", "field": "." + ".".join(path),
                 "message": f'conflict with "{", ".join(whose)}"'}
                for path, whose in sorted(found.items())
            ]  # fmt: skip
            raise Problem(409, f"Apply failed with {len(causes)} conflicts", causes)
        thing = applied(before, body, owner)
        return thing if dry else self._put(key, thing)

    def _applied_anew(self, key: Key, body: Thing, owner: tuple[str, str], *, dry: bool) -> Thing:
        plural, namespace, name = key
        if plural == "nodes":
            raise Problem(404, f'nodes "{name}" not found')
        if (body.get("metadata") or {}).get("resourceVersion"):
            raise Problem(409, f'{plural} "{name}": the object has been deleted')
        if namespace and self.namespaced and ("namespaces", "", namespace) not in self.objects:
            raise Problem(404, f'namespaces "{namespace}" not found')
        thing = copy.deepcopy(body)
        meta = {**(thing.get("metadata") or {}), "name": name}
        thing["metadata"] = meta | ({"namespace": namespace} if namespace else {})
        if dry:
            return thing
        return self.create(plural, thing, *owner)

    def _same_version(self, plural: str, body: Thing, before: Thing) -> None:
        """Whoever says which version it means wants to hear that it is another by now."""
        meant = (body.get("metadata") or {}).get("resourceVersion", "")
        if meant and meant != before["metadata"]["resourceVersion"]:
            name = before["metadata"]["name"]
            what = (
                f'Operation cannot be fulfilled on {plural} "{name}": the object has been modified'
            )
            raise Problem(409, what)

    def delete(self, plural: str, namespace: str, name: str, uid: str = "") -> Thing:
        """Delete it at once; 409 where its uid is another."""
        key = (plural, namespace, name)
        before = self.get(*key)
        if uid and uid != before["metadata"]["uid"]:
            raise Problem(409, "the UID in the precondition does not match")
        del self.objects[key]
        self.version += 1
        last = copy.deepcopy(before)
        last["metadata"]["resourceVersion"] = str(self.version)
        self._remember(Past(self.version, key, before, None), last)
        return before

    def write(self, key: Key, thing: Thing) -> Thing:
        """Write it as a controller writes a status: nobody's fields change hands."""
        return self._put(key, copy.deepcopy(thing))

    def _put(self, key: Key, thing: Thing) -> Thing:
        check(thing)
        before = self.objects.get(key)
        if key[0] in GENERATIONS and (not before or before.get("spec") != thing.get("spec")):
            thing["metadata"]["generation"] = 1 + (before or thing)["metadata"].get("generation", 0)
        if before and _plain(before) == _plain(thing):
            return before  # nothing changed: no new version, as with the real one
        self.version += 1
        thing["metadata"]["resourceVersion"] = str(self.version)
        self.objects[key] = thing
        self._remember(Past(self.version, key, before, thing))
        return thing

    def _remember(self, past: Past, last: Thing | None = None) -> None:
        past = Past(past.version, past.key, past.before if last is None else last, past.after)
        self.past.append(past)
        if len(self.past) > self._history:
            self.forgotten = self.past[0].version
            del self.past[0]
        for listener in tuple(self._listeners):
            listener(past)


def _plain(thing: Thing) -> Thing:
    meta = {k: v for k, v in thing["metadata"].items() if k != "resourceVersion"}
    return {**thing, "metadata": meta}


def merged(target: Any, patch: Any) -> Any:
    """RFC 7386."""
    if not isinstance(patch, dict):
        return patch
    target = target if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            target.pop(key, None)
        else:
            target[key] = merged(target.get(key), value)
    return target


def check(thing: Thing) -> None:
    """Labels, and what an Event is about, as the real one checks them."""
    for key, value in (thing["metadata"].get("labels") or {}).items():
        if not NAME.fullmatch(key) or not VALUE.fullmatch(value):
            raise Problem(422, f'metadata.labels: Invalid value: "{key}={value}"')
    about = thing.get("involvedObject")
    if about is not None:
        space = about.get("namespace", "") or "default"
        if space != thing["metadata"].get("namespace"):
            raise Problem(422, "involvedObject.namespace: does not match event.namespace")
        if len(thing.get("message", "")) > 1024:
            raise Problem(422, "message: Too long: may not be more than 1024 bytes")
