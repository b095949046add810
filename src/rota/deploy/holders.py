"""Which pods hold replicas: they would go on, but nobody would know what they hold."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from rota.cluster.door import PODS, Api, Object, View, metadata
from rota.errors import RotaError

SHOWN = 10


class InUse(RotaError):
    """Pods hold replicas."""


async def holders(api: Api, resources: Iterable[str]) -> list[str]:
    """The pods on nodes that hold some of these, as `namespace/name (2 nvidia.com/gpu)`."""
    names = set(resources)
    listing = await api.list(View(PODS), fresh=True)
    told = [(pod, _held(pod, names)) for pod in listing.items]
    return sorted(f"{_name(pod)} ({held})" for pod, held in told if held)


def refuse(found: Sequence[str], hint: str) -> None:
    """Nothing is done while some hold replicas.

    Raises:
        InUse: some do.
    """
    if found:
        more = f", and {len(found) - SHOWN} more" if len(found) > SHOWN else ""
        one = len(found) == 1
        what = f"{len(found)} pod{'' if one else 's'} hold{'s' if one else ''} replicas: "
        raise InUse(f"{what}{', '.join(found[:SHOWN])}{more}", hint=hint)


def _name(pod: Object) -> str:
    return f"{metadata(pod).get('namespace', '')}/{metadata(pod)['name']}"


def _held(pod: Object, names: set[str]) -> str:
    """What a pod that was given a node and has not ended holds of them; empty for nothing."""
    spec, phase = pod.get("spec") or {}, (pod.get("status") or {}).get("phase")
    if not spec.get("nodeName") or phase in ("Succeeded", "Failed"):
        return ""
    counts: dict[str, int] = {}
    for container in (*(spec.get("containers") or ()), *(spec.get("initContainers") or ())):
        for name, count in _limits(container).items():
            if name in names and str(count).isdecimal():
                counts[name] = counts.get(name, 0) + int(count)
    return ", ".join(f"{count} {name}" for name, count in sorted(counts.items()) if count)


def _limits(container: dict[str, Any]) -> dict[str, Any]:
    resources = container.get("resources") or {}
    return {**(resources.get("requests") or {}), **(resources.get("limits") or {})}
