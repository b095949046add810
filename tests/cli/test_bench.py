import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from rota.bench.devices import has_torch
from rota.cli.bench import command
from rota.errors import UsageError


def test_the_scenarios_are_listed() -> None:
    listed = CliRunner().invoke(command, ["--list"])
    assert listed.exit_code == 0
    assert "weights-1-2-4" in listed.output


def test_a_quick_run_is_kept_and_can_be_shown_again(tmp_path: Path) -> None:
    kept, page = tmp_path / "bench.json", tmp_path / "results.md"
    quick = ["--quick", "--workload", "emulated", "--only", "solo", "--json", str(kept)]
    ran = CliRunner().invoke(command, quick)
    assert ran.exit_code == 0, ran.output
    assert json.loads(kept.read_text())["emulated"]
    shown = CliRunner().invoke(command, ["--show", str(kept), "--page", str(page)])
    assert "One program alone" in shown.output
    assert "One program alone" in page.read_text()


@pytest.mark.skipif(has_torch(), reason="PyTorch is here")
def test_without_pytorch_its_workload_is_refused() -> None:
    refused = CliRunner().invoke(command, ["--workload", "torch"])
    assert isinstance(refused.exception, UsageError)
