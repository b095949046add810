"""The device manager: joins the ledger with the plugins, and keeps the checkpoint in step.

Allocation follows the kubelet without a topology policy: each container and resource gets its own
calls; GetPreferredAllocation may choose among the free ones, what it leaves open is filled up in
order, and an error anywhere leaves the pod with nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path

from rota.errors import KubeletError
from rota.kubelet.api import deviceplugin_pb2 as api
from rota.kubelet.embedded import checkpoint
from rota.kubelet.embedded.endpoint import Endpoint, PluginError
from rota.kubelet.embedded.events import Journal
from rota.kubelet.embedded.ledger import CannotAllocate, Ledger, given
from rota.kubelet.embedded.spec import PodSpec, Timing
from rota.kubelet.embedded.status import Given


class DeviceManager:
    """Capacity, allocatable and allocations of one run of the kubelet."""

    def __init__(
        self, file: Path, journal: Journal, timing: Timing, active: Collection[str]
    ) -> None:
        """Start from the checkpoint; a damaged one counts as empty, and pods not active are out.

        Args:
            file: the checkpoint.
            journal: for what is worth telling.
            timing: the kubelet's times.
            active: uids of the pods that still run.
        """
        self._file = file
        self._journal = journal
        self._timing = timing
        self._endpoints: dict[str, Endpoint] = {}
        self._expiries: dict[str, asyncio.TimerHandle] = {}
        try:
            remembered = checkpoint.read(file)
        except KubeletError as error:
            journal.warn("CheckpointDamaged", "node", str(error))
            remembered = checkpoint.Checkpoint((), {})
        self.ledger = Ledger(remembered)
        self.ledger.release(self.ledger.holders() - set(active))
        for resource in remembered.registered or {}:
            self._expire_later(resource)
        self._save()

    @property
    def abandoned(self) -> frozenset[str]:
        """Resources whose plugin is gone, and that are forgotten when the grace is over."""
        return frozenset(self._expiries)

    def connected(self, endpoint: Endpoint) -> None:
        """A plugin registered; an earlier one for the same resource counts no more."""
        former = self._endpoints.get(endpoint.resource)
        if former:
            former.stopped = True
        self._endpoints[endpoint.resource] = endpoint
        expiry = self._expiries.pop(endpoint.resource, None)
        if expiry:
            expiry.cancel()
        self._journal.ring()

    def listed(self, endpoint: Endpoint, devices: list[api.Device]) -> None:
        """A plugin sent a list; those of one that was replaced are ignored."""
        if self._endpoints.get(endpoint.resource) is not endpoint:
            return
        for oddity in self.ledger.set_devices(endpoint.resource, devices):
            self._journal.warn("OddDevice", endpoint.resource, oddity)
        self._save()
        self._journal.ring()

    def disconnected(self, endpoint: Endpoint) -> None:
        """A plugin's stream ended: its devices are unhealthy, and after the grace forgotten."""
        endpoint.stopped = True
        if self._endpoints.get(endpoint.resource) is not endpoint:
            return
        self.ledger.lose(endpoint.resource)
        self._expire_later(endpoint.resource)
        self._save()
        self._journal.ring()

    def _expire_later(self, resource: str) -> None:
        loop = asyncio.get_running_loop()
        grace = self._timing.endpoint_grace
        self._expiries[resource] = loop.call_later(grace, self._expire, resource)

    def _expire(self, resource: str) -> None:
        del self._expiries[resource]
        self._endpoints.pop(resource, None)
        self.ledger.forget(resource)
        self._save()
        self._journal.note("ResourceForgotten", resource, "its plugin did not come back")

    async def allocate(self, pod_uid: str, spec: PodSpec) -> None:
        """Give every container of a pod its devices, or the pod nothing at all.

        Raises:
            KubeletError: too few devices, or the plugin's refusal, in the kubelet's words.
        """
        reusable: dict[str, list[str]] = {}
        try:
            for container in spec.every_container:
                is_init = container in spec.init_containers
                for resource, count in container.devices.items():
                    spare = reusable.setdefault(resource, [])
                    ids = await self._give(pod_uid, container.name, resource, count, spare)
                    reusable[resource] = (
                        list(dict.fromkeys([*spare, *ids]))
                        if is_init
                        else [i for i in spare if i not in ids]
                    )
        except BaseException:
            self.release(pod_uid)
            raise
        self._save()
        self._journal.ring()

    async def _give(
        self, pod_uid: str, container: str, resource: str, count: int, reusable: list[str]
    ) -> list[str]:
        free = self.ledger.free(resource, count, reusable)
        others = [device for device in free if device not in reusable]
        endpoint = self._endpoints.get(resource)
        if endpoint is None:
            raise PluginError(f"unknown Device Plugin {resource}")
        must = reusable[:count]
        chosen = must
        if len(must) < count:
            preferred = await endpoint.prefer(others, must, count)
            chosen = _choose(count, must, preferred, others)
        response = await endpoint.allocate(chosen)
        self.ledger.hold(pod_uid, container, resource, chosen, response)
        return chosen

    async def prestart(self, pod_uid: str, container: str) -> None:
        """Tell the plugins that want it that a container starts.

        Raises:
            PluginError: one refused.
        """
        for entry in self.ledger.held(pod_uid, container):
            endpoint = self._endpoints.get(entry.resource)
            if endpoint:
                await endpoint.prestart(entry.ids)

    def given(self, pod_uid: str, container: str) -> Given:
        """What a container was given."""
        return given(self.ledger.held(pod_uid, container))

    def release(self, pod_uid: str) -> None:
        """A pod is over: its devices are free."""
        if self.ledger.release([pod_uid]):
            self._save()
            self._journal.ring()

    def close(self) -> None:
        """Forget all plugins, keep the checkpoint."""
        for expiry in self._expiries.values():
            expiry.cancel()
        self._expiries.clear()

    def _save(self) -> None:
        try:
            checkpoint.write(self._file, self.ledger.entries(), self.ledger.registered())
        except OSError as error:
            self._journal.warn("CheckpointNotWritten", "node", f"{self._file}: {error}")


def _choose(
    count: int, must: Sequence[str], preferred: Iterable[str], free: Sequence[str]
) -> list[str]:
    """First what must be, then what the plugin prefers of what is free, then the rest in order."""
    known = set(free)
    order = [*must, *(device for device in preferred if device in known), *free]
    chosen = list(dict.fromkeys(order))[:count]
    if len(chosen) < count:
        raise CannotAllocate(f"only {len(chosen)} of {count} devices are there")
    return chosen
