"""`rota devices`, as a person types it."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from rota.cli.main import main
from rota.emulation.profiles import parse_emulation
from rota.errors import GpuError
from rota.model import Inventory

FOUR = """\
version: v1
sharing:
  timeSlicing:
    resources:
    - name: nvidia.com/gpu
      replicas: 4
"""


@pytest.fixture(autouse=True)
def _plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("CONFIG_FILE", "MIG_STRATEGY", "FAIL_ON_INIT_ERROR", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("COLUMNS", "80")


@pytest.fixture
def four(tmp_path: Path) -> str:
    path = tmp_path / "config.yaml"
    path.write_text(FOUR)
    return str(path)


class Rota:
    """Runs the command and keeps what it said."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys
        self.out = self.err = ""

    def __call__(self, *args: str) -> int:
        with pytest.raises(SystemExit) as ended:
            main(["devices", *args])
        self.out, self.err = self._capsys.readouterr()
        assert isinstance(ended.value.code, int)
        return ended.value.code

    def json(self, *args: str) -> Any:
        self(*args, "-o", "json")
        return json.loads(self.out)


@pytest.fixture
def rota(capsys: pytest.CaptureFixture[str]) -> Rota:
    return Rota(capsys)


@pytest.fixture
def no_driver(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(_: object) -> Inventory:
        raise GpuError("there is no NVIDIA driver here", where="NVML", hint="install one")

    monkeypatch.setattr("rota.gpu.nvml.NvmlInventory.inventory", missing)


def test_json_names_gpus_resources_and_replicas(rota: Rota, four: str) -> None:
    shown = rota.json("--config", four, "--emulate", "rtx-4070-ti-super")
    assert list(shown) == ["gpus", "resources", "emulated", "driver_version", "cuda_version"]
    (gpu,) = shown["gpus"]
    assert gpu["product"] == "NVIDIA GeForce RTX 4070 Ti SUPER"
    assert gpu["memory_bytes"] == 16376 << 20
    assert (gpu["compute_capability"], gpu["family"]) == ("8.9", "ada-lovelace")
    (resource,) = shown["resources"]
    assert resource["name"] == "nvidia.com/gpu"
    assert resource["replicas"] == [f"{gpu['uuid']}::{n}" for n in range(4)]
    assert resource["devices"][0]["memory_share_bytes"] == (16376 << 20) // 4
    assert shown["emulated"] is True


def test_without_a_config_each_gpu_is_whole(rota: Rota) -> None:
    shown = rota.json("--emulate", "h200x2")
    assert shown["resources"][0]["replicas"] == [gpu["uuid"] for gpu in shown["gpus"]]
    assert rota.err == ""


def test_yaml_says_the_same_as_json_also_to_a_reader_of_yaml_1_1(rota: Rota, four: str) -> None:
    args = ("--config", four, "--emulate", "a100-mig", "--mig-strategy", "mixed")
    shown = rota.json(*args)
    assert rota(*args, "-o", "yaml") == 0
    yaml = YAML(typ="safe", pure=True)
    yaml.version = (1, 1)
    assert yaml.load(rota.out) == shown


def test_the_table_fits_80_columns_and_says_what_is_emulated(rota: Rota, four: str) -> None:
    assert rota("--config", four, "--emulate", "rtx-4070-ti-super x2") == 0
    assert all(len(line) <= 80 for line in rota.out.splitlines())
    assert rota.out.startswith("EMULATED")
    assert "::0 … ::3" in rota.out
    assert "4.0 GiB" in rota.out
    assert "2 GPUs cut in 4 (time-slicing)" in rota.out


def test_wide_lists_every_replica_id(rota: Rota, four: str) -> None:
    rota("--config", four, "--emulate", "h200", "-o", "wide")
    uuid = parse_emulation("h200").gpus[0].uuid
    assert all(f"{uuid}::{n}" in rota.out for n in range(4))


def test_whole_and_shared_gpus_of_one_node_are_told_apart(rota: Rota, tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    path.write_text(FOUR + '      devices: ["1"]\n')
    assert rota("--config", str(path), "--emulate", "h200x2") == 0
    assert "1 GPU whole, 1 GPU cut in 4" in rota.out


def test_a_real_gpu_is_shown_without_the_word_emulated(
    rota: Rota, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = Inventory(parse_emulation("h200").gpus, "580.159.04", (13, 0))
    monkeypatch.setattr("rota.gpu.nvml.NvmlInventory.inventory", lambda _: real)
    assert rota() == 0
    assert "EMULATED" not in rota.out
    assert "NVIDIA H200" in rota.out
    assert rota.json()["emulated"] is False


@pytest.mark.usefixtures("no_driver")
def test_no_driver_is_one_clear_statement_and_exit_1(rota: Rota) -> None:
    assert rota() == 1
    assert rota.err == "rota: NVML: there is no NVIDIA driver here (install one)\n"
    assert rota.out == ""


@pytest.mark.usefixtures("no_driver")
def test_where_init_errors_are_no_failure_the_list_is_empty_and_it_is_said(
    rota: Rota, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAIL_ON_INIT_ERROR", "false")
    assert rota("-o", "json") == 0
    assert json.loads(rota.out)["gpus"] == []
    assert "no NVIDIA driver" in rota.err
    assert "failOnInitError is false" in rota.err
    assert rota() == 0
    assert rota.out == "no GPU\n"


def test_flags_come_from_nvidias_variables(rota: Rota, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MIG_STRATEGY", "mixed")
    names = [resource["name"] for resource in rota.json("--emulate", "a100-mig")["resources"]]
    assert names == ["nvidia.com/mig-1g.10gb"]


def test_the_config_file_comes_from_nvidias_variable(
    rota: Rota, four: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CONFIG_FILE", four)
    assert len(rota.json("--emulate", "t4")["resources"][0]["replicas"]) == 4


def test_a_folder_of_configs_is_chosen_from_by_key(rota: Rota, tmp_path: Path) -> None:
    (tmp_path / "any").write_text("version: v1\n")
    (tmp_path / "tesla").write_text(FOUR)
    shown = rota.json("--config", str(tmp_path), "--config-key", "tesla", "--emulate", "t4")
    assert len(shown["resources"][0]["replicas"]) == 4


def test_what_the_config_wants_and_the_node_lacks_is_said_with_its_place(
    rota: Rota, tmp_path: Path
) -> None:
    path = tmp_path / "c.yaml"
    path.write_text(FOUR.replace("nvidia.com/gpu", "nvidia.com/gqu"))
    assert rota("--config", str(path), "--emulate", "t4") == 0
    assert f"{path}:5:" in rota.err
    assert "this node has no nvidia.com/gqu" in rota.err
    assert "1 GPU whole" in rota.out


def test_a_node_that_the_strategy_cannot_serve_is_shown_and_exits_with_1(rota: Rota) -> None:
    assert rota("--emulate", "a100-mig-mixed", "--mig-strategy", "single") == 1
    assert "error: migStrategy 'single' wants MIG devices of one kind" in rota.err
    assert "no resource is served" in rota.out


def test_a_bad_config_is_told_and_exits_with_1(rota: Rota, tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    path.write_text(FOUR.replace("replicas: 4", "replicas: 1"))
    assert rota("--config", str(path), "--emulate", "t4") == 1
    assert f"{path}:6:" in rota.err
    assert rota.out == ""


@pytest.mark.parametrize(
    "args", [["--emulate", "t5"], ["--emulate", ""], ["--config", "/nonexistent"], ["-o", "xml"]]
)
def test_wrong_usage_exits_with_2(rota: Rota, args: list[str]) -> None:
    assert rota(*args) == 2


def test_no_limit_on_memory_shows_no_share(rota: Rota, tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    path.write_text(FOUR + "rota:\n  memory:\n    limit: none\n")
    shown = rota.json("--config", str(path), "--emulate", "t4")
    assert shown["resources"][0]["devices"][0]["memory_share_bytes"] is None
    rota("--config", str(path), "--emulate", "t4")
    assert "no limit" in rota.out


def test_naming_the_command_loads_neither_nvml_nor_rich_nor_yaml() -> None:
    heavy = "{'pynvml', 'rich', 'ruamel.yaml'}"
    code = f"import sys, rota.cli.devices; sys.exit(bool({heavy} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=50).returncode == 0


def test_each_gpu_says_whether_there_are_turns_and_why_not(rota: Rota, tmp_path: Path) -> None:
    driver = tmp_path / "driver.yaml"
    driver.write_text("version: v1\nrota: {turns: {mode: driver}}\n")
    slow = tmp_path / "slow.yaml"
    slow.write_text("version: v1\nrota: {turns: {quantum: 250ms}}\n")
    assert rota("--emulate", "t4x2", "-f", str(slow)) == 0
    assert "turns of 250ms on GPUs 0, 1" in rota.out
    assert rota("--emulate", "a100-mig") == 0
    assert "no turns on GPU 0: MIG is on" in rota.out
    shown = rota.json("--emulate", "t4", "-f", str(driver))
    assert "mode: driver" in shown["gpus"][0]["no_turns"]
