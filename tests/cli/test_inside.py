"""`rota inside`: what a program in a container sees of its GPUs."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from rota.verify.sight import read

INSIDE = [sys.executable, "-m", "rota", "inside"]


def test_without_a_driver_it_says_why_and_is_no_failure() -> None:
    environ = os.environ | {"NVIDIA_VISIBLE_DEVICES": "GPU-1", "ROTA_REPLICAS": "GPU-1::0,GPU-1::1"}
    if Path("/proc/driver/nvidia/version").exists():
        pytest.skip("there is a driver here")
    made = subprocess.run(INSIDE, capture_output=True, text=True, timeout=50, env=environ)
    sight = read(made.stdout)
    assert made.returncode == 0
    assert (sight.visible, sight.replicas) == ("GPU-1", ("GPU-1::0", "GPU-1::1"))
    assert "no CUDA driver here" in sight.why


def test_one_that_stays_says_it_once_and_ends_when_asked() -> None:
    staying = subprocess.Popen([*INSIDE, "--stay"], stdout=subprocess.PIPE, text=True)
    try:
        assert staying.stdout
        assert read(staying.stdout.readline())
        staying.send_signal(signal.SIGTERM)
        rest, _ = staying.communicate(timeout=30)
        assert (rest, staying.returncode) == ("", 0)
    finally:
        staying.kill()
        staying.wait()
