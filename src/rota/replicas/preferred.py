"""Which replicas a container should get, of those that are free. Pure, and blind to load.

Greedy, as NVIDIA's plugin does it: replica by replica from the GPU that the policy likes best,
counting what is taken on the way. `distributed` likes the GPU with the fewest replicas taken,
`packed` the one with the most; of equals, the one that this container has touched least, then the
lowest index. `spread: required` puts the container's own count first: it gets a second replica of
a GPU only when every other GPU with room has given one.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from rota.config.schema import AllocationPolicy
from rota.errors import RotaError
from rota.model import Replica, Resource

Spread = Literal["preferred", "required"]


@dataclass(slots=True)
class _Shelf:
    """One device during a choice: what is free of it, and what is taken."""

    place: int
    free: list[str]
    taken: int
    picked: int = 0

    def rank(self, policy: AllocationPolicy, spread: Spread) -> tuple[int, int, int]:
        load = self.taken if policy == "distributed" else -self.taken
        if spread == "required":
            return self.picked, load, self.place
        return load, self.picked, self.place

    def pick(self) -> str:
        self.taken += 1
        self.picked += 1
        return self.free.pop()


def preferred(
    available: Sequence[str],
    must_include: Sequence[str],
    size: int,
    resource: Resource,
    policy: AllocationPolicy = "distributed",
    spread: Spread = "preferred",
) -> tuple[str, ...]:
    """Choose `size` replicas for one container.

    Args:
        available: ids that are free; their order does not matter.
        must_include: ids that are part of the answer whatever the policy says.
        size: how many replicas the container asks for, those of `must_include` among them.
        resource: the resource they belong to. Ids that it does not have come last.
        policy: `distributed` or `packed`.
        spread: `required`: no two replicas of one device while another one has room.

    Returns:
        The ids that must be there in replica order, then the others in the order of choice.

    Raises:
        RotaError: `size` is larger than what is available.
    """
    must = _in_order(must_include, resource)
    free = _in_order(set(available).difference(must), resource)
    wanted = max(0, size - len(must))
    if wanted > len(free):
        raise RotaError(
            f"{size} replicas of {resource.name} asked for, {len(must) + len(free)} available",
            where=resource.name,
        )
    known = {replica.id for replica in resource.replicas}
    ours = [id_ for id_ in free if id_ in known]
    strangers = free[len(ours) :]
    if resource.shared:
        shelves = _shelves(ours, must, resource)
        ours = _greedy(shelves, min(wanted, len(ours)), policy, spread)
    return (*must, *[*ours, *strangers][:wanted])


def _in_order(ids: Iterable[str], resource: Resource) -> list[str]:
    """Ids without repeats: by place in the resource, unknown ones last by name."""
    places = {replica.id: place for place, replica in enumerate(resource.replicas)}
    return sorted(set(ids), key=lambda id_: (places.get(id_, len(places)), id_))


def _shelves(free: Sequence[str], must: Sequence[str], resource: Resource) -> list[_Shelf]:
    """One shelf for each device with something free, the lowest replica on top."""
    totals: dict[str, int] = {}
    for replica in resource.replicas:
        totals[replica.device] = totals.get(replica.device, 0) + 1
    places = {device: place for place, device in enumerate(totals)}
    shelves: dict[str, _Shelf] = {}
    for id_ in reversed(free):
        device = Replica.parse(id_).device
        new = _Shelf(places.get(device, len(places)), [], totals.get(device, 0))
        shelf = shelves.setdefault(device, new)
        shelf.free.append(id_)
        shelf.taken = max(0, shelf.taken - 1)
    for id_ in must:
        if touched := shelves.get(Replica.parse(id_).device):
            touched.picked += 1
    return list(shelves.values())


def _greedy(
    shelves: Iterable[_Shelf], wanted: int, policy: AllocationPolicy, spread: Spread
) -> list[str]:
    heap = [(shelf.rank(policy, spread), n, shelf) for n, shelf in enumerate(shelves)]
    heapq.heapify(heap)
    chosen: list[str] = []
    while len(chosen) < wanted:
        _, number, shelf = heapq.heappop(heap)
        chosen.append(shelf.pick())
        if shelf.free:
            heapq.heappush(heap, (shelf.rank(policy, spread), number, shelf))
    return chosen
