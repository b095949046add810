"""The labels of a node, as GPU feature discovery would have them, and our own."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rota.cluster.features import Facts, Machine, feature_file, labels, value_of
from rota.cluster.machine import pci_name, read_machine
from rota.config.load import load_text
from rota.emulation.profiles import parse_emulation
from rota.replicas.plan import plan

SHARED = """
version: v1
sharing:
  timeSlicing:
    {more}
    resources:
    - name: nvidia.com/gpu
      replicas: 4
      {entry}
"""


def labels_with(
    text: str = "", gpus: str = "a100", machine: Machine | None = None, *, turns: bool = True
) -> dict[str, str]:
    config, inventory = load_text(text, "config").config, parse_emulation(gpus)
    facts = Facts(inventory, config, plan(config, inventory), machine or Machine(), turns)
    return labels(facts)


def short(found: dict[str, str], *names: str) -> dict[str, str]:
    return {name: found.get(f"nvidia.com/{name}", "") for name in names}


def test_a_shared_gpu() -> None:
    found = labels_with(
        SHARED.format(more="", entry=""), "a100x2", Machine("DGX A100", {"x": "compute"})
    )
    assert short(found, "gpu.count", "gpu.replicas", "gpu.memory", "gpu.sharing-strategy") == {
        "gpu.count": "2", "gpu.replicas": "4", "gpu.memory": "81920",
        "gpu.sharing-strategy": "time-slicing",
    }  # fmt: skip
    assert found["nvidia.com/gpu.product"] == "NVIDIA-A100-SXM4-80GB-SHARED"
    assert short(found, "gpu.family", "gpu.compute.major", "gpu.compute.minor") == {
        "gpu.family": "ampere", "gpu.compute.major": "8", "gpu.compute.minor": "0",
    }  # fmt: skip
    assert short(found, "gpu.machine", "gpu.mode", "mig.capable", "mps.capable") == {
        "gpu.machine": "DGX-A100", "gpu.mode": "compute", "mig.capable": "true",
        "mps.capable": "false",
    }  # fmt: skip


def test_versions_are_there_in_parts_and_whole_under_new_names_and_old_ones() -> None:
    found, inventory = labels_with(), parse_emulation("a100")
    assert found["nvidia.com/cuda.driver-version.full"] == inventory.driver_version
    major, minor, rev = inventory.driver_version.split(".")
    for name in ("cuda.driver-version.major", "cuda.driver.major"):
        assert found[f"nvidia.com/{name}"] == major
    assert found["nvidia.com/cuda.driver-version.minor"] == minor
    assert found["nvidia.com/cuda.driver-version.revision"] == rev
    assert found["nvidia.com/cuda.driver.rev"] == rev
    cuda = ".".join(map(str, inventory.cuda_version))
    assert found["nvidia.com/cuda.runtime-version.full"] == cuda


def test_a_whole_gpu_is_not_shared() -> None:
    found = labels_with()
    assert short(found, "gpu.product", "gpu.replicas", "gpu.sharing-strategy") == {
        "gpu.product": "NVIDIA-A100-SXM4-80GB", "gpu.replicas": "1", "gpu.sharing-strategy": "none",
    }  # fmt: skip
    assert "nvidia.com/mig.strategy" not in found


@pytest.mark.parametrize(
    "how",
    [
        {"more": "renameByDefault: true", "entry": ""},
        {"more": "", "entry": "rename: nvidia.com/slice"},
    ],
)
def test_a_renamed_resource_is_labelled_under_its_own_name_and_without_shared(
    how: dict[str, str],
) -> None:
    found = labels_with(SHARED.format(**how))
    assert short(found, "gpu.product", "gpu.replicas") == {
        "gpu.product": "NVIDIA-A100-SXM4-80GB", "gpu.replicas": "4",
    }  # fmt: skip
    assert not any(".shared." in key or "slice." in key for key in found)


def test_some_devices_renamed_and_others_whole_are_one_resource() -> None:
    text = SHARED.format(more="", entry="rename: nvidia.com/slice\n      devices: [0]")
    found = labels_with(text, "a100x2")
    assert short(found, "gpu.count", "gpu.replicas") == {"gpu.count": "2", "gpu.replicas": "4"}


def test_mig_devices_have_labels_of_their_own() -> None:
    found = labels_with("version: v1\nflags: {migStrategy: mixed}\n", "a100-mig")
    assert found["nvidia.com/mig.strategy"] == "mixed"
    profiles = [key for key in found if re.fullmatch(r"nvidia.com/mig-.*\.product", key)]
    assert profiles
    assert all("-MIG-" in found[key] for key in profiles)


def test_our_own_labels_say_how_turns_are_run() -> None:
    own = {key: value for key, value in labels_with().items() if key.startswith("rota.dev/")}
    assert own == {"rota.dev/turns": "exclusive", "rota.dev/quantum": "100ms"}
    driver = labels_with("version: v1\nrota: {turns: {mode: driver}}\n")
    assert driver["rota.dev/turns"] == "driver"
    assert "rota.dev/quantum" not in driver
    assert labels_with(turns=False)["rota.dev/turns"] == "driver"


@given(st.text())
def test_whatever_a_machine_is_called_its_label_is_one(name: str) -> None:
    found = value_of(name)
    assert len(found) <= 63
    assert re.fullmatch(r"([A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?)?", found)


def test_the_feature_file_is_one_label_a_line() -> None:
    assert feature_file({"b": "2", "a": "1"}) == "a=1\nb=2\n"


def test_the_machine_is_read_from_sys(tmp_path: Path) -> None:
    inventory = parse_emulation("t4")
    dmi = tmp_path / "class" / "dmi" / "id"
    dmi.mkdir(parents=True)
    (dmi / "product_name").write_text("PowerEdge R750\n")
    assert read_machine(inventory, tmp_path) == Machine("PowerEdge R750")
    assert read_machine(inventory, tmp_path / "none") == Machine()


def test_a_bus_id_is_spelt_as_sys_does() -> None:
    assert pci_name("00000000:3B:00.0") == pci_name("0000:3b:00.0") == "0000:3b:00.0"
