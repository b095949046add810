"""What is left in a namespace: deleting it would delete all of it, whoever made it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator, Mapping
from typing import Any

from rota.cluster.door import Api, ClusterError, Kind, Object, View, metadata

_ITS_OWN = {
    ("configmaps", "kube-root-ca.crt"),
    ("serviceaccounts", "default"),
}
"""What the cluster itself puts into each namespace."""

_PASSING = {"events", "leases", "endpoints", "endpointslices"}
"""Kinds that nobody would miss, or that go with what they belong to."""


async def left_in(api: Api, namespace: str) -> str:
    """One thing that is in it, in words; empty where nothing is.

    What cannot be seen counts as something: nothing is deleted unseen.
    """
    try:
        async for kind in _kinds(api):
            view = View(kind, namespace, metadata_only=True)
            for item in (await api.list(view, fresh=True)).items:
                if _counts(kind, item):
                    return f"{kind.kind} {metadata(item)['name']}"
    except ClusterError as error:
        return f"what cannot be seen ({error.what})"
    return ""


def _counts(kind: Kind, item: Object) -> bool:
    """Not the cluster's own, not going already, and nobody's with whom it would go."""
    meta = metadata(item)
    own = (kind.plural, meta["name"]) in _ITS_OWN
    return not (own or meta.get("deletionTimestamp") or meta.get("ownerReferences"))


async def _kinds(api: Api) -> AsyncIterator[Kind]:
    """Every kind that lives in namespaces and can be listed."""
    groups = json.loads(await api.fetch("/apis")).get("groups") or ()
    versions = [str(group["preferredVersion"]["groupVersion"]) for group in groups]
    paths = ["/api/v1", *(f"/apis/{version}" for version in versions)]
    answers = await asyncio.gather(*(_resources(api, path) for path in paths))
    for path, answer in zip(paths, answers, strict=True):
        for kind in _listed(path, answer):
            yield kind


async def _resources(api: Api, path: str) -> Mapping[str, Any]:
    found = json.loads(await api.fetch(path))
    return found if isinstance(found, dict) else {}


def _listed(path: str, answer: Mapping[str, Any]) -> Iterator[Kind]:
    version = path.rpartition("/")[2]
    group = path.split("/")[2] if path.startswith("/apis/") else ""
    for one in answer.get("resources") or ():
        plain = "/" not in one["name"] and one.get("namespaced") and "list" in one.get("verbs", ())
        if plain and one["name"] not in _PASSING:
            yield Kind(one["name"], one["kind"], group, version)
