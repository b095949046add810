"""`rota inside` on a real GPU. Left out where there is no NVIDIA driver."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from rota.gpu.nvml import open_nvml
from rota.verify.sight import read

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(
        not Path("/proc/driver/nvidia/version").exists(), reason="no NVIDIA driver here"
    ),
]


def test_it_sees_what_nvml_sees_and_how_much_of_it_is_free() -> None:
    made = subprocess.run(
        [sys.executable, "-m", "rota", "inside"], capture_output=True, text=True, timeout=100
    )
    sight = read(made.stdout)
    door = open_nvml()
    gpus = door.inventory().gpus
    door.close()
    assert not sight.why, sight
    assert not sight.emulated
    assert {one.uuid for one in sight.devices} == {gpu.uuid for gpu in gpus}
    assert all(one.room is not None and 0 < one.room < one.memory for one in sight.devices)
