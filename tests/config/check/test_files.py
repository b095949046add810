"""Opening what a person named."""

from __future__ import annotations

import io
import os
from pathlib import Path

import pytest

from rota.config.check import Report, check
from rota.config.check.files import LARGEST, Disk, walk
from rota.config.opening import opened
from rota.errors import UsageError


def run(*paths: Path | str, stdin: bytes = b"") -> Report:
    return check([str(path) for path in paths], io.BytesIO(stdin))


def said(report: Report) -> list[str]:
    return [f"{f.mark.line}:{f.mark.column} {f.level} {f.id}" for f in report.findings]


def test_a_file_that_is_not_there_ends_the_command(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="No such file"):
        run(tmp_path / "nope.yaml")


def test_a_folder_without_manifests_is_nothing_to_read(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("kind: Pod")
    with pytest.raises(UsageError, match="no manifests"):
        run(tmp_path)


def test_a_pipe_is_refused_rather_than_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.yaml")
    with pytest.raises(UsageError, match="no regular file"):
        run(tmp_path / "pipe.yaml")


def test_a_pipe_in_a_folder_earns_a_finding(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.yaml")
    assert said(run(tmp_path)) == ["0:0 error file-unreadable"]


def test_a_device_is_refused() -> None:
    with pytest.raises(UsageError, match="no regular file"):
        run("/dev/zero")


def test_the_empty_device_is_an_empty_config() -> None:
    assert run("/dev/null").exit_code(strict=True) == 0


def test_an_empty_file_is_a_config_that_nvidia_accepts(tmp_path: Path) -> None:
    (tmp_path / "c.yaml").touch()
    assert run(tmp_path / "c.yaml").exit_code(strict=True) == 0


def test_a_link_to_itself_ends_the_command(tmp_path: Path) -> None:
    (tmp_path / "loop.yaml").symlink_to(tmp_path / "loop.yaml")
    with pytest.raises(UsageError, match="cannot be read"):
        run(tmp_path / "loop.yaml")


def test_folders_that_contain_themselves_are_walked_once(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "c.yaml").write_text("sharing: {}\n")
    (tmp_path / "a" / "again").symlink_to(tmp_path)
    assert [path.name for path in walk(tmp_path)] == ["c.yaml"]


def test_what_cannot_be_opened_in_a_folder_hides_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a.yaml").write_text("sharing: {timeSlicing: {}}\n")
    (tmp_path / "b.yaml").write_text("sharing: {}\n")

    def refuse(path: Path, **more: bool) -> object:
        if path.name == "b.yaml":
            raise PermissionError(13, "Permission denied")
        return opened(path, **more)

    monkeypatch.setattr("rota.config.check.files.opened", refuse)
    ids = [line.split()[-1] for line in said(run(tmp_path))]
    assert "file-unreadable" in ids
    assert "no-resources" in ids


def test_a_named_file_that_cannot_be_opened_ends_the_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a.yaml").touch()

    def refuse(path: Path) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("rota.config.check.files.opened", refuse)
    with pytest.raises(UsageError, match="Permission denied"):
        run(tmp_path / "a.yaml")


def test_a_name_that_no_file_can_have_is_wrong_usage() -> None:
    with pytest.raises(UsageError):
        run("a\0b")


def test_bytes_that_are_no_text_are_found_where_they_stand(tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_bytes(b"version: v1\na: \xff\n")
    assert said(run(tmp_path / "c.yaml")) == ["2:4 error not-utf8"]


def test_utf_16_and_a_byte_order_mark_are_text() -> None:
    text = "sharing: {timeSlicing: {}}\n"
    for coding in ("utf-16", "utf-8-sig"):
        report = run("-", stdin=text.encode(coding))
        assert "no-resources" in [f.id for f in report.findings]


def test_a_file_too_large_is_not_read_to_its_end() -> None:
    stream = io.BytesIO(b"#" * (LARGEST + 10))
    disk = Disk()
    assert disk.stream(stream) is None
    assert [f.id for f in disk.findings] == ["too-large"]


def test_a_mounted_configmap_is_a_folder_of_configs(tmp_path: Path) -> None:
    inner = tmp_path / "..2026"
    inner.mkdir()
    (inner / "any").write_text("sharing: {timeSlicing: {}}\n")
    (tmp_path / "..data").symlink_to("..2026")
    (tmp_path / "any").symlink_to("..data/any")
    assert "no-resources" in [f.id for f in run(tmp_path).findings]


def test_hidden_and_vendored_folders_are_left_out(tmp_path: Path) -> None:
    for folder in (".git", "node_modules"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "c.yaml").write_text("sharing: 1\n")
    (tmp_path / "c.yaml").touch()
    assert [path.parent for path in walk(tmp_path)] == [tmp_path]
