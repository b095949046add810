"""Sockets: their limits and their leftovers."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from rota.errors import KubeletError
from rota.kubelet.embedded import sockets


@pytest.mark.parametrize("name", ["x" * 107, "é" * 53])
def test_107_bytes_are_a_path(name: str) -> None:
    sockets.check_length(Path(name))


@pytest.mark.parametrize("name", ["x" * 108, "é" * 54])
def test_108_bytes_are_none(name: str) -> None:
    with pytest.raises(KubeletError, match="this one has 108"):
        sockets.check_length(Path(name))
    with pytest.raises(KubeletError, match="this one has 108"):
        sockets.dial(Path(name))


async def test_a_folder_that_is_not_there_is_a_clear_error(folder: Path) -> None:
    server = sockets.new_server()
    with pytest.raises(KubeletError, match="cannot listen there"):
        await sockets.serve(server, folder / "none" / "x.sock")


def test_cleaning_removes_everything_but_folders_and_the_one_to_keep(folder: Path) -> None:
    (folder / "folder").mkdir()
    (folder / "keep").touch()
    (folder / "file").touch()
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(folder / "left.sock"))
    removed = sockets.clean(folder, folder / "keep")
    assert [path.name for path in removed] == ["file", "left.sock"]
    assert {path.name for path in folder.iterdir()} == {"folder", "keep"}
