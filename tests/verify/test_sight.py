"""What a container says of its GPUs."""

from __future__ import annotations

import pytest

from rota.verify.sight import NoSight, Seen, Sight, read

ONE = Sight("GPU-1", ("GPU-1::0",), (Seen("GPU-1", "NVIDIA H200", 1 << 37, 1 << 35),))


def test_what_is_said_is_read_whatever_stands_around_it() -> None:
    assert read(f"starting\n{{not json\n{ONE.line()}\n{{}}\nlater\n") == ONE


def test_an_image_without_rota_says_it_with_nvidia_smi() -> None:
    log = '{"visible": "GPU-97d4"}\nGPU-97d443a5-366f, NVIDIA H200, 143771 MiB\n'
    (device,) = read(log).devices
    assert device == Seen("GPU-97d443a5-366f", "NVIDIA H200", 143771 << 20)
    assert "nvidia-smi shows no GPU" in read('{"visible": "GPU-97d4"}\n').why


@pytest.mark.parametrize(
    ("log", "hint"),
    [
        ('{"visible": "", "devices": [{"uuid": "GPU-1", "memory": "much"}]}', "its last word: {"),
        ("", "it is empty"),
        ("sh: rota: not found\n", "its last word: sh: rota: not found"),
    ],
)
def test_a_log_that_says_nothing(log: str, hint: str) -> None:
    with pytest.raises(NoSight) as told:
        read(log)
    assert told.value.hint.startswith(hint)
