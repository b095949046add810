"""`rota ps`, `rota stop` and `rota completion`, as far as they need no machine."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from rota.cli.main import main
from rota.cli.ps import table
from rota.cli.run import describe, no_turns

GPUS = [{"uuid": "GPU-a", "index": "0"}, {"uuid": "GPU-b", "index": "1"}]
MINE = {
    "id": "train-abcde", "user": "anna", "state": "running", "mine": True,
    "replicas": ["GPU-b::0", "GPU-b::1"], "since": 1000.0, "weight": 2.0, "class": "batch",
    "memory_bytes": 4 << 30, "command": ["sh", "-c", "a b\x1b[2J"], "pids": [11, 12],
}  # fmt: skip
THEIRS = {
    "id": "cell-fghjk", "user": "bob", "state": "waiting", "mine": False, "replicas": [],
    "wanted": 2, "position": 1,
}  # fmt: skip


def test_ones_own_jobs_are_shown_in_full_and_others_as_being_there() -> None:
    assert table([MINE, THEIRS], GPUS, 1090.0, wide=True).splitlines() == [
        "JOB          USER  STATE        REPLICAS  GPU  AGE    WEIGHT  CLASS  MEMORY  PIDS   COMMAND",
        "train-abcde  anna  running      2         1    1m30s  2       batch  4Gi     11,12  "
        "sh -c 'a b?[2J'",
        "cell-fghjk   bob   waiting (1)  2         -    -      -       -      -       -      -",
    ]


def test_no_agent_means_no_jobs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["ps", "-o", "json", "--run-dir", str(tmp_path)])
    assert ended.value.code == 0
    shown = capsys.readouterr()
    assert json.loads(shown.out)["jobs"] == []
    assert "no agent runs here" in shown.err


def test_stop_without_an_agent_is_an_error(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["stop", "train", "--run-dir", str(tmp_path)])
    assert ended.value.code == 1
    assert "no agent runs here" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("place", "words"),
    [
        ({"why": "health"}, "a GPU that is not well"),
        (
            {"why": "quota", "holders": [{"id": "a-x", "user": "anna"}]},
            "your quota, held by a-x (anna)",
        ),
        ({"why": "room"}, "2 replicas, held by no job"),
        (
            {"holders": [{"id": "a-x", "user": "anna"}], "more": 3},
            "2 replicas, held by a-x (anna), 3 more",
        ),
        (
            {"ahead": [{"id": "b-y", "user": "bob"}]},
            "2 replicas, held by no job; before you b-y (bob)",
        ),
    ],
)
def test_who_waits_is_told_for_what_and_for_whom(place: dict[str, Any], words: str) -> None:
    nothing = {"why": "room", "ahead": [], "holders": [], "more": 0}
    assert describe(nothing | place, 2) == words


def test_a_shared_gpu_without_turns_is_said_to_be_that() -> None:
    devices = [
        {"index": "0", "uuid": "GPU-a", "no_turns": "driver 470 has no gates"},
        {"index": "1", "uuid": "GPU-b", "no_turns": ""},
    ]
    said = "no turns on GPU 0, the driver slices its time: driver 470 has no gates"
    assert list(no_turns(devices, ["GPU-a::1", "GPU-a::2", "GPU-b::0"])) == [said]
    assert list(no_turns(devices, ["GPU-a"])) == []


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_is_what_the_shell_understands(
    shell: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["completion", shell])
    assert ended.value.code == 0
    assert "_ROTA_COMPLETE" in capsys.readouterr().out


def test_bash_completes_commands() -> None:
    program = Path(sys.executable).with_name("rota")
    env = {"_ROTA_COMPLETE": "bash_complete", "COMP_WORDS": "rota comp", "COMP_CWORD": "1"}
    done = subprocess.run([str(program)], env=env, capture_output=True, text=True, timeout=30)
    assert done.stdout.split() == ["plain,completion"]
