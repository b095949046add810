"""Which replicas a container should get, of those that are free. Pure, and blind to load.

Greedy, as NVIDIA's plugin does it: replica by replica from the GPU that the policy likes best,
counting what is taken on the way. `distributed` likes the GPU with the fewest replicas taken,
`packed` the one with the most; of equals, the one that this container has touched least, then the
lowest index. `spread: required` puts the container's own count first: it gets a second replica of
a GPU only when every other GPU with room has given one.
"""

from __future__ import annotations

import heapq
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from rota.config.schema import AllocationPolicy
from rota.errors import RotaError
from rota.model import Resource

Spread = Literal["preferred", "required"]


@dataclass(slots=True)
class _Shelf:
    """One device during a choice: which of its replicas are free, and how many are taken.

    Replicas are known by their place in the resource, the lowest last in `free`.
    """

    place: int
    free: list[int]
    taken: int
    picked: int = 0

    def rank(self, policy: AllocationPolicy, spread: Spread) -> tuple[int, int, int]:
        load = self.taken if policy == "distributed" else -self.taken
        if spread == "required":
            return self.picked, load, self.place
        return load, self.picked, self.place

    def pick(self) -> int:
        self.taken += 1
        self.picked += 1
        return self.free.pop()


class Chooser:
    """Chooses replicas of one resource; what does not change between choices is worked out once.

    Attributes:
        resource: the resource.
    """

    def __init__(self, resource: Resource) -> None:
        self.resource = resource
        self._ids = [replica.id for replica in resource.replicas]
        self._places = {id_: place for place, id_ in enumerate(self._ids)}
        shelves = {device: n for n, device in enumerate(dict.fromkeys(_devices(resource)))}
        self._shelf_of = [shelves[device] for device in _devices(resource)]
        self._totals = Counter(self._shelf_of)

    def choose(
        self,
        available: Collection[str],
        must_include: Collection[str],
        size: int,
        policy: AllocationPolicy = "distributed",
        spread: Spread = "preferred",
    ) -> tuple[str, ...]:
        """Choose `size` replicas for one container.

        Args:
            available: ids that are free; their order does not matter.
            must_include: ids that are part of the answer whatever the policy says.
            size: how many replicas the container asks for, those of `must_include` among them.
            policy: `distributed` or `packed`.
            spread: `required`: no two replicas of one device while another one has room.

        Returns:
            The ids that must be there in replica order, then the others in the order of choice;
            ids that the resource does not have come last of each.

        Raises:
            RotaError: `size` is larger than what is available.
        """
        must, must_strange = self._sorted(set(must_include))
        free, strange = self._sorted(set(available).difference(must_include))
        kept = [*(self._ids[place] for place in must), *must_strange]
        wanted = max(0, size - len(kept))
        if wanted > len(free) + len(strange):
            name, there = self.resource.name, len(kept) + len(free) + len(strange)
            what = f"{size} replicas of {name} asked for, {there} available"
            raise RotaError(what, where=name)
        ours = min(wanted, len(free))
        if self.resource.shared:
            free = _greedy(self._shelves(free, must), ours, policy, spread)
        chosen = [self._ids[place] for place in free[:ours]]
        return (*kept, *chosen, *strange[: wanted - ours])

    def _sorted(self, ids: Iterable[str]) -> tuple[list[int], list[str]]:
        """Places of our own ids, and the ids that are not ours, both in order."""
        places, strange = [], []
        for id_ in ids:
            place = self._places.get(id_)
            if place is None:
                strange.append(id_)
            else:
                places.append(place)
        return sorted(places), sorted(strange)

    def _shelves(self, free: Sequence[int], must: Sequence[int]) -> list[_Shelf]:
        """One shelf for each device that has something free."""
        filled: defaultdict[int, list[int]] = defaultdict(list)
        for place in reversed(free):
            filled[self._shelf_of[place]].append(place)
        picked = Counter(self._shelf_of[place] for place in must)
        return [
            _Shelf(n, places, self._totals[n] - len(places), picked[n])
            for n, places in filled.items()
        ]


def preferred(
    available: Sequence[str],
    must_include: Sequence[str],
    size: int,
    resource: Resource,
    policy: AllocationPolicy = "distributed",
    spread: Spread = "preferred",
) -> tuple[str, ...]:
    """One choice, for whoever makes only one: see `Chooser.choose`."""
    return Chooser(resource).choose(available, must_include, size, policy, spread)


def _devices(resource: Resource) -> Iterator[str]:
    return (replica.device for replica in resource.replicas)


def _greedy(
    shelves: Iterable[_Shelf], wanted: int, policy: AllocationPolicy, spread: Spread
) -> list[int]:
    heap = [(shelf.rank(policy, spread), shelf) for shelf in shelves]
    heapq.heapify(heap)
    chosen: list[int] = []
    while len(chosen) < wanted:
        _, shelf = heapq.heappop(heap)
        chosen.append(shelf.pick())
        if shelf.free:
            heapq.heappush(heap, (shelf.rank(policy, spread), shelf))
    return chosen
