"""Which containers hold which replicas, steadier than one answer of the kubelet. Pure.

A kubelet that has just started lists no pod before it has heard from the API server, though all of
them run on. What a container held stays its own for as long as its processes are on a GPU and
nobody else was given it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import TypeAlias

from rota.clients.logs import ContainerName
from rota.kubelet.pod_resources import PodAllocation

_Key: TypeAlias = tuple[ContainerName, str]


class Holdings:
    """Remembers what the kubelet said last, and before."""

    def __init__(self) -> None:
        """Nobody holds anything yet."""
        self._listed: dict[_Key, PodAllocation] = {}
        self._missed: dict[_Key, PodAllocation] = {}

    def listed(self, allocations: Iterable[PodAllocation]) -> None:
        """Take in a new answer of the kubelet."""
        before = self._missed | self._listed
        self._listed = {_key(one): one for one in allocations}
        taken = {id_ for one in self._listed.values() for id_ in one.ids}
        self._missed = {
            key: one
            for key, one in before.items()
            if key not in self._listed and taken.isdisjoint(one.ids)
        }

    def now(self, alive: Collection[ContainerName]) -> tuple[PodAllocation, ...]:
        """What is held, given the containers whose processes are on a GPU."""
        self._missed = {key: one for key, one in self._missed.items() if key[0] in alive}
        return (*self._listed.values(), *self._missed.values())


def container_of(allocation: PodAllocation) -> ContainerName:
    """The container that holds it."""
    return ContainerName(allocation.namespace, allocation.pod, allocation.container)


def _key(allocation: PodAllocation) -> _Key:
    return container_of(allocation), allocation.resource
