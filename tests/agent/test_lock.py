"""One agent a node."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from rota.agent.lock import only_agent
from rota.errors import RotaError

HOLD = "import sys; from pathlib import Path; from rota.agent.lock import only_agent\n"
HOLD += "with only_agent(Path(sys.argv[1])): print('held', flush=True); sys.stdin.read()"


def test_a_second_agent_is_told_that_there_is_one(tmp_path: Path) -> None:
    refused = pytest.raises(RotaError, match="another agent serves")
    with only_agent(tmp_path), refused, only_agent(tmp_path):
        pass


def test_the_next_one_may_come_when_the_first_has_gone(tmp_path: Path) -> None:
    with only_agent(tmp_path):
        pass
    with only_agent(tmp_path):
        pass


def test_a_killed_agent_holds_nothing(tmp_path: Path) -> None:
    command = [sys.executable, "-c", HOLD, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        with pytest.raises(RotaError), only_agent(tmp_path):
            pass
        os.kill(holder.pid, signal.SIGKILL)
        holder.wait()
    with only_agent(tmp_path):
        pass


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(RotaError, match="--kubelet-dir"), only_agent(tmp_path / "file" / "folder"):
        pass
