"""Names of sockets, and taking one over."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from rota.errors import KubeletError
from rota.kubelet import sockets


@pytest.fixture
def listener(folder: Path) -> Iterator[socket.socket]:
    """A socket bound to `mine` that listens."""
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(folder / "mine"))
        server.listen()
        yield server


@pytest.mark.parametrize(
    ("resource", "name"),
    [
        ("nvidia.com/gpu", "nvidia-gpu.sock"),
        ("nvidia.com/gpu.shared", "nvidia-gpu.shared.sock"),
        ("nvidia.com/mig-1g.10gb", "nvidia-mig-1g.10gb.sock"),
        ("nvidia.com/mig-1g.10gb.me", "nvidia-mig-1g.10gb.me.sock"),
        ("example.org/gpu", "nvidia-gpu.example.org.sock"),
        ("gpu", "nvidia-gpu.sock"),
        ("nvidia.com/a/b", "nvidia-b.nvidia.com-a.sock"),
    ],
)
def test_a_socket_has_nvidias_name_for_the_resource(resource: str, name: str) -> None:
    assert sockets.socket_name(resource) == name


def test_a_bound_socket_gets_its_public_name_and_loses_its_own(
    folder: Path, listener: socket.socket
) -> None:
    public = folder / "public"
    assert sockets.publish(folder / "mine", public) == sockets.identity(public)
    assert sockets.is_live(public)
    assert not (folder / "mine").exists()


def test_a_stale_socket_makes_way(folder: Path, listener: socket.socket) -> None:
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(folder / "public"))
    assert not sockets.is_live(folder / "public")
    sockets.publish(folder / "mine", folder / "public")
    assert sockets.is_live(folder / "public")


def test_a_live_socket_does_not(folder: Path, listener: socket.socket) -> None:
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(str(folder / "public"))
        other.listen()
        before = sockets.identity(folder / "public")
        with pytest.raises(KubeletError, match="another device plugin serves on this socket"):
            sockets.publish(folder / "mine", folder / "public")
        assert sockets.identity(folder / "public") == before


def test_a_live_socket_whose_queue_is_full_is_still_live(folder: Path) -> None:
    with socket.socket(socket.AF_UNIX) as busy:
        busy.bind(str(folder / "busy"))
        busy.listen(0)
        with socket.socket(socket.AF_UNIX) as first:
            first.connect(str(folder / "busy"))
            assert sockets.is_live(folder / "busy")


def test_only_what_is_ours_is_withdrawn(folder: Path, listener: socket.socket) -> None:
    public = folder / "public"
    ours = sockets.publish(folder / "mine", public)
    public.unlink()
    public.touch()
    sockets.withdraw(public, ours)
    assert public.exists()
    found = sockets.identity(public)
    assert found
    sockets.withdraw(public, found)
    assert not public.exists()


def test_a_folder_in_the_way_is_said(folder: Path, listener: socket.socket) -> None:
    (folder / "public").mkdir()
    with pytest.raises(KubeletError, match="cannot put the socket there"):
        sockets.publish(folder / "mine", folder / "public")


def test_the_sweep_takes_dead_hidden_sockets_only(folder: Path) -> None:
    with socket.socket(socket.AF_UNIX) as dead, socket.socket(socket.AF_UNIX) as live:
        dead.bind(str(folder / ".rota-dead"))
        live.bind(str(folder / ".rota-live"))
        live.listen()
        (folder / "kubelet_internal_checkpoint").touch()
        sockets.sweep(folder)
        names = sorted(path.name for path in folder.iterdir())
        assert names == [".rota-live", "kubelet_internal_checkpoint"]
