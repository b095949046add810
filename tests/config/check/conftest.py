"""Writes a set-up into a folder of its own and checks it."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from textwrap import dedent

import pytest

from rota.config.check import Report, check


@pytest.fixture
def checked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Report]:
    """`checked(name=text, …)` or `checked({path: text}, *paths)`: the report on these files."""
    monkeypatch.chdir(tmp_path)

    def run(files: dict[str, str], *paths: str, stdin: bytes = b"") -> Report:
        for name, text in files.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(dedent(text), encoding="utf-8")
        return check(paths or tuple(files), io.BytesIO(stdin))

    return run


@pytest.fixture
def places(checked: Callable[..., Report]) -> Callable[..., list[str]]:
    """Like `checked`, as `file:line:column level id` of each finding but the memory note."""

    def run(files: dict[str, str], *paths: str) -> list[str]:
        report = checked(files, *paths)
        return [f"{f.mark} {f.level} {f.id}" for f in report.findings if f.id != "memory-unlimited"]

    return run
