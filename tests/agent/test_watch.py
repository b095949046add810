"""A config that changes is noticed once, whichever way it is changed."""

import asyncio
import errno
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from rota.agent.watch import ConfigWatch


@asynccontextmanager
async def watching(
    path: Path, settle_empty: float = 0.02, prepare: Callable[[], object] = lambda: None
) -> AsyncIterator[Callable[[int], Awaitable[None]]]:
    """Watch `path`; gives a function that waits until so many changes were called in all.

    `prepare` is called when the watch is made and nobody follows it yet.
    """
    calls = 0
    called = asyncio.Condition()

    async def changed() -> None:
        nonlocal calls
        async with called:
            calls += 1
            called.notify_all()

    async def until(count: int) -> None:
        async with called, asyncio.timeout(20):
            await called.wait_for(lambda: calls >= count)
        assert calls == count

    watch = ConfigWatch(path, settle=0.02, settle_empty=settle_empty)
    prepare()
    task = asyncio.create_task(watch.follow(changed))
    await asyncio.sleep(0)
    try:
        yield until
    finally:
        task.cancel()


async def test_an_edit_in_place(tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    file.write_text("version: v1\n")
    async with watching(file) as until:
        file.write_text("version: v1\nflags: {}\n")
        await until(1)


async def test_an_edit_that_cannot_be_opened_for_want_of_descriptors_is_read_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "config.yaml"
    file.write_text("a: 1\n")
    tried = asyncio.Event()

    def fail(*_: object) -> int:
        tried.set()
        raise OSError(errno.EMFILE, "Too many open files")

    async with watching(file) as until:
        with monkeypatch.context() as patch:
            patch.setattr("rota.agent.watch.os.open", fail)
            file.write_text("a: 22\n")
            async with asyncio.timeout(20):
                await tried.wait()
            await until(0)
        await until(1)


async def test_a_file_put_over_it(tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    file.write_text("a: 1\n")
    async with watching(file) as until:
        (tmp_path / "new").write_text("a: 2\n")
        (tmp_path / "new").rename(file)
        await until(1)


async def test_a_mounted_configmap_swapped_as_the_kubelet_does_it(tmp_path: Path) -> None:
    for version, text in (("..v1", "a: 1\n"), ("..v2", "a: 2\n")):
        (tmp_path / version).mkdir()
        (tmp_path / version / "any").write_text(text)
    (tmp_path / "..data").symlink_to("..v1")
    (tmp_path / "any").symlink_to("..data/any")
    async with watching(tmp_path) as until:
        (tmp_path / "..data_tmp").symlink_to("..v2")
        (tmp_path / "..data_tmp").rename(tmp_path / "..data")
        await until(1)


async def test_a_file_that_goes_and_comes_back(tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    file.write_text("a: 1\n")
    async with watching(file) as until:
        file.unlink()
        await until(1)
        file.write_text("a: 1\n")
        await until(2)


async def test_an_edit_before_anybody_follows_is_not_lost(tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    file.write_text("a: 1\n")
    async with watching(file, prepare=lambda: file.write_text("a: 22\n")) as until:
        await until(1)


async def test_a_file_that_is_empty_for_a_moment_is_not_taken_for_an_empty_config(
    tmp_path: Path,
) -> None:
    file = tmp_path / "config.yaml"
    file.write_text("a: 1\n")
    async with watching(file, settle_empty=0.5) as until:
        file.write_text("")
        await asyncio.sleep(0.1)
        file.write_text("a: 2\n")
        await until(1)


async def test_a_file_that_stays_empty_is_an_empty_config(tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    file.write_text("a: 1\n")
    async with watching(file) as until:
        file.write_text("")
        await until(1)


async def test_an_edit_that_inotify_does_not_see_is_found_by_looking(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    real = tmp_path / "elsewhere" / "config.yaml"
    real.write_text("a: 1\n")
    link = tmp_path / "config.yaml"
    link.symlink_to(real)
    async with watching(link) as until:
        real.write_text("a: 22\n")
        await until(1)
