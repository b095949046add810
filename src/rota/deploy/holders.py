"""Which pods hold replicas: they would go on, but nobody would know what they hold."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rota.cluster.door import PODS, Api, View
from rota.cluster.gpus import GpuPod, pod_of
from rota.errors import RotaError

SHOWN = 10


class InUse(RotaError):
    """Pods hold replicas."""


async def holders(api: Api, resources: Iterable[str]) -> list[str]:
    """The pods on nodes that hold some of these, as `namespace/name (2 nvidia.com/gpu)`."""
    names = set(resources)
    pods = map(pod_of, (await api.list(View(PODS), fresh=True)).items)
    told = ((pod, _held(pod, names)) for pod in pods)
    return sorted(f"{pod.namespace}/{pod.name} ({held})" for pod, held in told if held)


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


def _held(pod: GpuPod, names: set[str]) -> str:
    """What a pod that was given a node and has not ended holds of them; empty for nothing."""
    counts = sorted(pod.requests.items()) if pod.holds else ()
    return ", ".join(f"{count} {name}" for name, count in counts if name in names)
