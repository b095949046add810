"""Whether a pod fits the node, by the scheduler's arithmetic: requests against allocatable. Pure.

The scheduler knows counts, not devices: what a pod asked for is counted until the pod is over or
gone, whichever of its devices fell ill meanwhile.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping


def insufficient(
    request: Mapping[str, int],
    bound: Iterable[Mapping[str, int]],
    allocatable: Mapping[str, int],
) -> tuple[str, ...]:
    """Names of the resources that the node has too little of, sorted; empty when the pod fits."""
    used: Counter[str] = Counter()
    for other in bound:
        used.update(other)
    return tuple(
        sorted(
            name
            for name, count in request.items()
            if count and count + used[name] > allocatable.get(name, 0)
        )
    )


def sentence(missing: Iterable[str]) -> str:
    """What `kubectl describe pod` says of a pod that waits on a cluster of one node."""
    return f"0/1 nodes are available: {', '.join(f'1 Insufficient {name}' for name in missing)}."
