"""What is opened is a file, or says at once that it is none."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from rota.config.opening import NoFile, opened


@pytest.mark.parametrize("make", [os.mkfifo, Path.mkdir], ids=["pipe", "folder"])
def test_what_may_never_answer_is_refused_and_nothing_stays_open(
    tmp_path: Path, make: Callable[[Path], object]
) -> None:
    make(tmp_path / "it")
    before = sorted(Path("/proc/self/fd").iterdir())
    with pytest.raises(NoFile):
        opened(tmp_path / "it")
    assert sorted(Path("/proc/self/fd").iterdir()) == before


def test_a_device_is_refused_but_the_empty_one_is_empty() -> None:
    with pytest.raises(NoFile):
        opened(Path("/dev/zero"))
    with opened(Path(os.devnull)) as stream:
        assert stream.read() == b""


def test_the_pipe_of_a_shell_is_read_where_pipes_may_be() -> None:
    inner, outer = os.pipe()
    os.write(outer, b"version: v1")
    os.close(outer)
    with pytest.raises(NoFile):
        opened(Path(f"/dev/fd/{inner}"), pipes=False)
    with opened(Path(f"/dev/fd/{inner}")) as stream:
        assert stream.read() == b"version: v1"
    os.close(inner)


def test_a_file_is_read(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"x")
    with opened(tmp_path / "a") as stream:
        assert stream.read() == b"x"
