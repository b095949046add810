"""Kubelets that are broken or mean ill: none of them takes a plugin down, or keeps it from the next."""

from __future__ import annotations

import asyncio
import os
import socket
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any

import grpc
import grpc.aio
import pytest

from rota.config.schema import Config
from rota.kubelet.allocation import LONGEST_ID, quoted
from rota.kubelet.api import deviceplugin_pb2 as pb
from rota.kubelet.manager import PluginManager
from rota.kubelet.sockets import socket_name, why_not_bound

if TYPE_CHECKING:
    from tests.kubelet.conftest import PlainKubelet, Things

    Eventually = Callable[..., Awaitable[None]]

GPU = "nvidia.com/gpu"
CHANCE = Random(7)


@pytest.fixture
async def manager(folder: Path, things: Things) -> AsyncIterator[PluginManager]:
    """Serves four replicas."""
    made = PluginManager(folder, host=folder)
    await made.serve((things.shared(4),), Config(), things.inventory)
    yield made
    await made.stop()


@contextmanager
def answering(path: Path, answer: Callable[[socket.socket], object]) -> Iterator[threading.Event]:
    """Somebody listens in the kubelet's place; the event is set once somebody called."""
    called, ended = threading.Event(), threading.Event()
    held: list[socket.socket] = []
    listener = socket.socket(socket.AF_UNIX)
    path.unlink(missing_ok=True)
    listener.bind(str(path))
    listener.listen()
    listener.settimeout(0.02)

    def serve() -> None:
        while not ended.is_set():
            with suppress(TimeoutError):
                link, _ = listener.accept()
                held.append(link)
                with suppress(OSError):
                    answer(link)
                called.set()

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield called
    finally:
        ended.set()
        thread.join()
        for link in (listener, *held):
            link.close()
        path.unlink(missing_ok=True)


def hold(link: socket.socket) -> None:
    """Say nothing, and keep the line."""


def hang_up(link: socket.socket) -> None:
    """Before a word was said."""
    link.close()


def babble(link: socket.socket) -> None:
    """No HTTP/2."""
    link.sendall(CHANCE.randbytes(4096))


def speak_http_1(link: socket.socket) -> None:
    """As a web server would."""
    link.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")


@pytest.mark.parametrize("answer", [hold, hang_up, babble, speak_http_1])
async def test_whoever_sits_on_the_registration_socket_the_next_kubelet_is_served(
    late_kubelet: PlainKubelet,
    manager: PluginManager,
    eventually: Eventually,
    monkeypatch: pytest.MonkeyPatch,
    answer: Callable[[socket.socket], object],
) -> None:
    with answering(late_kubelet.folder / "kubelet.sock", answer) as called:
        manager._look()
        assert await asyncio.to_thread(called.wait, 20)
    await late_kubelet.start()
    await eventually(lambda: len(late_kubelet.now()) == 4)


@pytest.mark.parametrize("make", [Path.touch, Path.mkdir], ids=["file", "folder"])
async def test_what_is_no_socket_is_no_kubelet(
    folder: Path,
    late_kubelet: PlainKubelet,
    manager: PluginManager,
    eventually: Eventually,
    make: Callable[[Path], object],
) -> None:
    there = folder / "kubelet.sock"
    make(there)
    (status,) = manager.status()
    await eventually(lambda: status.counters.failed_registrations)
    there.rmdir() if there.is_dir() else there.unlink()
    await late_kubelet.start()
    await eventually(lambda: len(late_kubelet.now()) == 4)


async def test_garbage_on_the_plugins_own_socket_costs_only_its_sender(
    folder: Path, kubelet: PlainKubelet, manager: PluginManager, eventually: Eventually
) -> None:
    await eventually(lambda: len(kubelet.now()) == 4)
    links = [socket.socket(socket.AF_UNIX) for _ in range(20)]
    for link in links:
        link.connect(str(folder / socket_name(GPU)))
        link.sendall(CHANCE.randbytes(CHANCE.randrange(1, 5000)))
    for link in links[::2]:
        link.close()
    assert await kubelet.plugin(GPU).GetDevicePluginOptions(pb.Empty(), timeout=20)
    for link in links:
        link.close()


@pytest.mark.parametrize(
    "ids",
    [
        [],
        [""],
        ["::"],
        ["\x00\n\x1b[31m"],
        ["x" * 1_000_000],
        [f"GPU-{n}::0" for n in range(50_000)],
    ],
    ids=["none", "empty", "colons", "control", "long", "many"],
)
async def test_ids_that_are_none_are_refused_in_one_short_line(
    kubelet: PlainKubelet, manager: PluginManager, eventually: Eventually, ids: list[str]
) -> None:
    await eventually(lambda: len(kubelet.now()) == 4)
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await kubelet.plugin(GPU).Allocate(asked(*ids), timeout=20)
    said = refused.value.details() or ""
    assert said.startswith('invalid allocation request for "nvidia.com/gpu"')
    assert said.isprintable()
    assert len(said) < 2 * LONGEST_ID + 100


def test_an_id_that_can_be_read_is_repeated_as_it_is() -> None:
    assert quoted("GPU-1::0") == "GPU-1::0"
    assert quoted("") == "''"


@pytest.mark.parametrize("raw", [b"\x0a\x06\x0a\x04\xff\xfe\xfd\xfc", b"\xff" * 100])
async def test_bytes_that_are_no_request_are_refused(
    folder: Path, kubelet: PlainKubelet, manager: PluginManager, eventually: Eventually, raw: bytes
) -> None:
    await eventually(lambda: len(kubelet.now()) == 4)
    async with grpc.aio.insecure_channel(f"unix:{folder / socket_name(GPU)}") as channel:
        call = channel.unary_unary("/v1beta1.DevicePlugin/Allocate", None, None)
        with pytest.raises(grpc.aio.AioRpcError):
            await call(raw, timeout=20)
    assert await kubelet.plugin(GPU).Allocate(asked("GPU-0::0"), timeout=20)


async def test_four_thousand_allocations_at_once_are_all_answered(
    kubelet: PlainKubelet, manager: PluginManager, eventually: Eventually
) -> None:
    await eventually(lambda: len(kubelet.now()) == 4)
    plugin = kubelet.plugin(GPU)
    calls = [plugin.Allocate(asked(f"GPU-0::{n % 4}"), timeout=100) for n in range(4000)]
    answers = await asyncio.gather(*calls, return_exceptions=True)
    assert not [answer for answer in answers if isinstance(answer, BaseException)]


async def test_calls_and_streams_that_are_cancelled_leave_nothing_behind(
    kubelet: PlainKubelet, manager: PluginManager, eventually: Eventually
) -> None:
    await eventually(lambda: len(kubelet.now()) == 4)
    plugin = kubelet.plugin(GPU)
    streams = [plugin.ListAndWatch(pb.Empty()) for _ in range(100)]
    await asyncio.gather(*(stream.read() for stream in streams))
    calls: list[Any] = [plugin.Allocate(asked("GPU-0::0")) for _ in range(500)]
    for each in (*calls, *streams):
        each.cancel()
    await asyncio.gather(*calls, return_exceptions=True)
    await eventually(lambda: manager.status()[0].streams == 1)
    assert await plugin.Allocate(asked("GPU-0::0"), timeout=20)


async def test_a_watcher_that_never_reads_hurts_no_other(
    kubelet: PlainKubelet, manager: PluginManager, things: Things, eventually: Eventually
) -> None:
    await eventually(lambda: len(kubelet.now()) == 4)
    lazy = [kubelet.plugin(GPU).ListAndWatch(pb.Empty()) for _ in range(20)]
    for count in (1024, 3) * 5:
        await manager.serve((things.shared(count),), Config(), things.inventory)
    await eventually(lambda: len(kubelet.now()) == 3)
    for stream in lazy:
        stream.cancel()


def test_why_a_socket_cannot_be_had_is_what_the_kernel_says(folder: Path) -> None:
    assert why_not_bound(folder / "none" / "socket") == os.strerror(2)
    assert why_not_bound(folder / "socket") == ""
    assert not (folder / "socket").exists()


def asked(*ids: str) -> pb.AllocateRequest:
    """One container that wants these."""
    return pb.AllocateRequest(container_requests=[pb.ContainerAllocateRequest(devices_ids=ids)])
