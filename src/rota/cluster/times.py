"""When things happened to an object, as the API server tells. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from rota.cluster.door import Object, metadata


def moment_of(text: Any) -> datetime | None:
    """A time as the API writes it; None for anything else."""
    try:
        found = datetime.fromisoformat(str(text))
    except ValueError:
        return None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def edited(config_map: Object) -> datetime | None:
    """When its data was last written, by `managedFields`; metadata alone does not count."""
    meta = metadata(config_map)
    writes = (
        entry.get("time")
        for entry in meta.get("managedFields") or ()
        if {"f:data", "f:binaryData"} & set(entry.get("fieldsV1") or {})
    )
    return _last(writes) or moment_of(meta.get("creationTimestamp"))


def began(pod: Object) -> datetime | None:
    """When its containers began, the last of them; None before."""
    statuses = (pod.get("status") or {}).get("containerStatuses") or ()
    running = ((status.get("state") or {}).get("running") or {} for status in statuses)
    return _last(state.get("startedAt") for state in running)


def _last(times: Iterable[Any]) -> datetime | None:
    return max((moment for time in times if (moment := moment_of(time))), default=None)
