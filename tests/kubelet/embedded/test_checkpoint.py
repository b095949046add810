"""The file by which running pods keep their devices."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from rota.errors import KubeletError
from rota.kubelet.embedded.checkpoint import Checkpoint, Entry, read, write

ENTRY = Entry("uid", "main", "nvidia.com/gpu", {-1: ("g1", "g0"), 1: ("g2",)}, b"\x00response")


def test_what_is_written_is_read(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint"
    write(path, [ENTRY], {"nvidia.com/gpu": {"g1", "g0"}})
    assert read(path) == Checkpoint((ENTRY,), {"nvidia.com/gpu": ("g0", "g1")})
    assert [p.name for p in tmp_path.iterdir()] == ["checkpoint"]
    assert ENTRY.ids == ("g1", "g0", "g2")


def test_its_keys_are_those_of_a_stock_kubelet(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint"
    write(path, [ENTRY], {"nvidia.com/gpu": {"g0"}})
    document = json.loads(path.read_text())
    assert set(document) == {"Data", "Checksum"}
    assert document["Data"]["RegisteredDevices"] == {"nvidia.com/gpu": ["g0"]}
    assert document["Data"]["PodDeviceEntries"] == [
        {
            "PodUID": "uid",
            "ContainerName": "main",
            "ResourceName": "nvidia.com/gpu",
            "DeviceIDs": {"-1": ["g1", "g0"], "1": ["g2"]},
            "AllocResp": "AHJlc3BvbnNl",
        }
    ]


def test_no_file_is_an_empty_checkpoint(tmp_path: Path) -> None:
    assert read(tmp_path / "none") == Checkpoint((), {})


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "{}", '{"Data":{},"Checksum":1}', '{"Data":null,"Checksum":0}', "\x00"]
)
def test_a_damaged_file_is_named(tmp_path: Path, text: str) -> None:
    path = tmp_path / "checkpoint"
    path.write_text(text)
    with pytest.raises(KubeletError, match="damaged") as caught:
        read(path)
    assert caught.value.where == str(path)


def test_one_changed_letter_is_damage(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint"
    write(path, [ENTRY], {})
    path.write_text(path.read_text().replace("g1", "g7"))
    with pytest.raises(KubeletError, match="checksum"):
        read(path)


def test_a_write_that_fails_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "checkpoint"
    write(path, [ENTRY], {})
    before = path.read_text()

    def full(_: int) -> None:
        raise OSError("no space left")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="no space"):
        write(path, [], {})
    assert path.read_text() == before
