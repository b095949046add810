"""A kubelet's calls to a device plugin, made and timed by a plain synchronous client."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import grpc

from rota.kubelet.api import deviceplugin_pb2 as pb
from rota.kubelet.api.deviceplugin_pb2_grpc import DevicePluginStub

WARM = 200
"""Calls before those that count."""

DEADLINE = 20.0
"""Seconds after which no answer is the answer."""


@dataclass(frozen=True, slots=True)
class Latency:
    """Milliseconds of many calls of one kind, sorted."""

    calls: tuple[float, ...]

    def at(self, quantile: float) -> float:
        """The smallest figure that this part of the calls did not exceed."""
        rank = max(0, round(quantile * len(self.calls) + 0.5) - 1)
        return self.calls[min(rank, len(self.calls) - 1)]


@contextmanager
def plugin(socket: Path) -> Iterator[Any]:
    """One channel to a plugin, as the kubelet keeps it."""
    options = (("grpc.use_local_subchannel_pool", 1), ("grpc.default_authority", "localhost"))
    with grpc.insecure_channel(f"unix:{socket}", options=options) as channel:
        yield DevicePluginStub(channel)  # type: ignore[no-untyped-call]


def listed(stub: Any) -> list[str]:
    """The replicas that the plugin advertises now."""
    stream = stub.ListAndWatch(pb.Empty(), timeout=DEADLINE)
    ids = [device.ID for device in next(stream).devices]
    stream.cancel()
    return ids


def allocations(socket: Path, count: int) -> tuple[Latency, Latency]:
    """`count` calls of Allocate, one replica each, in turn; and the client's own floor.

    The floor is the same channel's cheapest call, GetDevicePluginOptions, a tenth as often.
    """
    with plugin(socket) as stub:
        asked = [_request(replica) for replica in listed(stub)]
        empty = pb.Empty()
        floor = _timed(lambda _: stub.GetDevicePluginOptions(empty), [None], max(1, count // 10))
        real = _timed(lambda request: stub.Allocate(request), asked, count)
    return real, floor


def _request(replica: str) -> pb.AllocateRequest:
    container = pb.ContainerAllocateRequest(devices_ids=[replica])
    return pb.AllocateRequest(container_requests=[container])


def _timed(call: Callable[[Any], object], requests: list[Any], count: int) -> Latency:
    for request in islice(cycle(requests), min(WARM, count)):
        call(request)
    spent = []
    for request in islice(cycle(requests), count):
        begun = time.perf_counter()
        call(request)
        spent.append((time.perf_counter() - begun) * 1000)
    return Latency(tuple(sorted(spent)))


def edits(socket: Path, config: Path, texts: list[tuple[str, int]]) -> list[float]:
    """Put each text over the config, and wait for the listing with so many replicas.

    The pauses between edits are of different lengths, so that nobody who looks now and then is
    always met at the same point.

    Returns:
        Seconds from each edit to the message.
    """
    spent = []
    with plugin(socket) as stub:
        stream = stub.ListAndWatch(pb.Empty(), timeout=DEADLINE + 2 * len(texts))
        next(stream)
        for text, count in texts:
            time.sleep(random.uniform(0.4, 0.8))
            new = config.with_name("new.yaml")
            new.write_text(text)
            begun = time.perf_counter()
            new.replace(config)
            while len(next(stream).devices) != count:
                pass
            spent.append(time.perf_counter() - begun)
        stream.cancel()
    return spent
