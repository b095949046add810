"""The kubelet's folder is watched, whatever the file system can."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from rota.kubelet.watch import FolderWatch

if TYPE_CHECKING:
    Eventually = Callable[..., Awaitable[None]]

Started = Callable[..., list[int]]


@pytest.fixture
async def watching(folder: Path) -> AsyncIterator[Started]:
    """Starts a watch; the list grows with each call back."""
    watches: list[FolderWatch] = []

    def start(path: Path = folder, *, inotify: bool = True) -> list[int]:
        calls: list[int] = []
        watch = FolderWatch(path, lambda: calls.append(1), inotify=inotify)
        watch.start()
        watches.append(watch)
        return calls

    yield start
    for watch in watches:
        watch.close()
        watch.close()


@pytest.fixture
def no_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only inotify can call back."""
    monkeypatch.setattr("rota.kubelet.watch.SLOW_LOOK", 3600.0)


@pytest.mark.usefixtures("no_looks")
async def test_each_file_made_moved_or_removed_calls_back(
    folder: Path, watching: Started, eventually: Eventually
) -> None:
    calls = watching()
    for change in (
        lambda: (folder / "a").touch(),
        lambda: (folder / "a").rename(folder / "b"),
        lambda: (folder / "b").unlink(),
    ):
        before = len(calls)
        change()
        await eventually(lambda n=before: len(calls) > n)


async def test_a_folder_that_is_replaced_is_found_again(
    folder: Path, watching: Started, eventually: Eventually, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = folder / "plugins"
    calls = watching(path)
    path.mkdir()
    await eventually(lambda: len(calls) > 2)
    path.rename(folder / "old")
    path.mkdir()
    monkeypatch.setattr("rota.kubelet.watch.SLOW_LOOK", 3600.0)  # from the next look on
    for name in ("one", "two", "three"):
        before = len(calls)
        (path / name).touch()
        await eventually(lambda n=before: len(calls) > n)


async def test_without_inotify_it_looks(watching: Started, eventually: Eventually) -> None:
    calls = watching(inotify=False)
    await eventually(lambda: len(calls) > 2)
