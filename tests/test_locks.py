"""What only one may hold, and who comes next."""

import fcntl
import os
from pathlib import Path

import pytest

from rota.locks import Held, lock_folder, locked


def test_a_folder_is_held_by_one_until_it_lets_go(tmp_path: Path) -> None:
    first = lock_folder(tmp_path)
    with pytest.raises(Held, match=str(tmp_path)):
        lock_folder(tmp_path)
    os.close(first)
    os.close(lock_folder(tmp_path))


def test_a_folder_that_is_not_there_is_told_apart_from_one_that_is_held(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        lock_folder(tmp_path / "none")


def test_many_may_look_at_a_file_and_one_may_have_it(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with (tmp_path / "file").open() as one, (tmp_path / "file").open() as other:
        assert locked(one.fileno(), fcntl.LOCK_SH)
        assert locked(other.fileno(), fcntl.LOCK_SH)
        assert not locked(one.fileno())
