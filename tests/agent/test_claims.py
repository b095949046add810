"""A node's agent goes first; whoever serves local jobs sees that, and gives way."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from rota.agent.claims import Unclaimable, Yielding, claimed, is_claimed
from rota.agent.lock import Taken

GPUS = ("GPU-1", "GPU-2")


def test_a_gpu_is_claimed_for_as_long_as_somebody_gives_it_out(tmp_path: Path) -> None:
    assert not is_claimed(tmp_path, "GPU-1")
    with claimed(tmp_path / "new", ["GPU-1"]):
        assert is_claimed(tmp_path / "new", "GPU-1")
        assert not is_claimed(tmp_path / "new", "GPU-2")
    assert not is_claimed(tmp_path / "new", "GPU-1")
    assert list(tmp_path.iterdir()) == [], "nothing is left behind"


def test_two_nodes_agents_never_have_the_same_gpu(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rota.agent.claims._PATIENCE", 0.0)
    with claimed(tmp_path, ["GPU-2"]):
        with pytest.raises(Taken, match="GPU-2"), claimed(tmp_path, GPUS):
            pass
        assert not is_claimed(tmp_path, "GPU-1"), "nothing is kept of what could not be had whole"


def test_a_folder_that_cannot_be_had_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(Unclaimable, match="file"), claimed(tmp_path / "file", GPUS):
        pass


def test_whoever_may_not_open_the_file_finds_its_lock_in_the_kernels_list(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> int:
        raise PermissionError(13, "Permission denied")

    with claimed(tmp_path, ["GPU-1"]):
        (tmp_path / "GPU-2").touch()
        monkeypatch.setattr("rota.agent.claims.os.open", refuse)
        assert is_claimed(tmp_path, "GPU-1")
        assert not is_claimed(tmp_path, "GPU-2")
        assert not is_claimed(tmp_path, "GPU-1", locks=tmp_path / "none")


def test_a_gpu_comes_back_when_its_claim_has_been_gone_for_long(tmp_path: Path) -> None:
    yielding = Yielding(tmp_path, GPUS, patience=60.0)
    assert yielding.look(0.0) == frozenset()
    with claimed(tmp_path, ["GPU-1"]):
        assert yielding.look(1.0) == {"GPU-1"}
    assert yielding.look(61.0) == {"GPU-1"}, "an agent that is started anew finds it as it was"
    assert yielding.look(61.1) == frozenset()


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
def test_others_can_neither_read_nor_lock_a_claim(tmp_path: Path) -> None:
    with claimed(tmp_path, ["GPU-1"]):
        assert (tmp_path / "GPU-1").stat().st_mode & 0o777 == 0o600
        assert as_nobody(lambda: open_it(tmp_path / "GPU-1")) == 1


def open_it(path: Path) -> None:
    with path.open():
        pass


def as_nobody(call: Callable[[], None]) -> int:
    """The exit code of another user's process that makes the call: 1 where that is not permitted."""
    if pid := os.fork():
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    try:
        os.setuid(65534)
        call()
        os._exit(0)
    except PermissionError:
        os._exit(1)
