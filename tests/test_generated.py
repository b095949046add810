"""Files that are made from the code are written below the folder that was named."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from rota.generated import write


def test_files_are_written_below_the_folder_and_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["build", str(tmp_path)])
    write({"a/b.md": "text\n"})
    assert (tmp_path / "a" / "b.md").read_text() == "text\n"
    assert capsys.readouterr().out == "made a/b.md\n"


def test_without_a_name_they_are_written_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["build"])
    monkeypatch.chdir(tmp_path)
    write({"c.md": "text\n"})
    assert (tmp_path / "c.md").read_text() == "text\n"
