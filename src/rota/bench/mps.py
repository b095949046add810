"""NVIDIA's MPS daemon for the time of a measurement, or why there is none."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

CONTROL = "nvidia-cuda-mps-control"
_PATIENCE = 15.0


class Mps:
    """The daemon in a folder of its own, for one GPU; programs find it by `environment`.

    Attributes:
        off: why MPS is not measured; empty while it can be.
    """

    def __init__(self, folder: Path, environment: Mapping[str, str], emulated: bool) -> None:
        self.off = "the GPU is emulated" if emulated else ""
        if not self.off and shutil.which(CONTROL) is None:
            self.off = f"there is no {CONTROL} in PATH"
        pipes = {"CUDA_MPS_PIPE_DIRECTORY": str(folder), "CUDA_MPS_LOG_DIRECTORY": str(folder)}
        self.environment = {**environment, **pipes}
        self._folder = folder

    def start(self) -> bool:
        """Start the daemon if it does not run yet; false, and `off` says why, where it does not start."""
        if self.off or self._folder.exists():
            return not self.off
        self._folder.mkdir(exist_ok=True)
        try:
            ended = self._control("-d")
        except (OSError, subprocess.TimeoutExpired) as error:
            self.off = f"its daemon does not start: {error}"
            return False
        if ended.returncode:
            said = (ended.stderr or ended.stdout).strip()
            self.off = f"its daemon ends with {ended.returncode}: {said[-200:]}"
        return not self.off

    def stop(self) -> None:
        """End the daemon and its server. Twice is once."""
        if self._folder.exists():
            with suppress(OSError, subprocess.TimeoutExpired):
                self._control(said="quit -t 2\n")

    def _control(self, *arguments: str, said: str = "") -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [CONTROL, *arguments],
            input=said,
            env={**os.environ, **self.environment},
            capture_output=True,
            text=True,
            timeout=_PATIENCE,
        )
