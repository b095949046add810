"""Emulated nodes look like the real ones, and the same words give the same node."""

import re

import pytest

from rota.emulation.profiles import MOST, parse_emulation, profiles
from rota.errors import UsageError

MIB = 1024**2
FORM = r"-[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"


@pytest.mark.parametrize(
    ("name", "product", "mib", "capability", "family"),
    [
        ("rtx-4070-ti-super", "NVIDIA GeForce RTX 4070 Ti SUPER", 16376, (8, 9), "ada-lovelace"),
        ("t4", "Tesla T4", 15360, (7, 5), "turing"),
        ("a100-40", "NVIDIA A100-SXM4-40GB", 40960, (8, 0), "ampere"),
        ("a100-80", "NVIDIA A100-SXM4-80GB", 81920, (8, 0), "ampere"),
        ("h100", "NVIDIA H100 80GB HBM3", 81559, (9, 0), "hopper"),
        ("h200", "NVIDIA H200", 143771, (9, 0), "hopper"),
    ],
)
def test_a_profile_has_the_figures_that_nvml_reports_for_the_product(
    name: str, product: str, mib: int, capability: tuple[int, int], family: str
) -> None:
    (gpu,) = parse_emulation(name).gpus
    assert gpu.product == product
    assert gpu.memory_bytes == mib * MIB
    assert gpu.compute_capability == capability
    assert gpu.family == family
    assert not gpu.mig_enabled


def test_every_emulated_inventory_says_that_it_is_emulated() -> None:
    assert all(parse_emulation(profile.name).emulated for profile in profiles())


@pytest.mark.parametrize(
    "name",
    [
        "rtx4070tisuper",
        "rtx-4070-ti-super",
        "RTX 4070 Ti SUPER",
        "NVIDIA GeForce RTX 4070 Ti SUPER",
    ],
)
def test_case_dashes_and_spaces_do_not_matter(name: str) -> None:
    assert parse_emulation(name) == parse_emulation("rtx-4070-ti-super")


@pytest.mark.parametrize("text", ["h200x4", "H200X4", "h200 x 4", "h200×4"])
def test_a_number_after_an_x_makes_so_many_gpus(text: str) -> None:
    inventory = parse_emulation(text)
    assert [gpu.index for gpu in inventory.gpus] == [0, 1, 2, 3]
    assert [gpu.minor for gpu in inventory.gpus] == [0, 1, 2, 3]
    assert inventory.gpus[3].pci_bus_id == "0000:04:00.0"


def test_the_x_of_rtx_is_not_a_number() -> None:
    assert len(parse_emulation("rtx4070tisuperx2").gpus) == 2
    with pytest.raises(UsageError, match="did you mean rtx-4070-ti-super"):
        parse_emulation("rtx4070")


def test_uuids_have_nvidias_form_and_differ_and_stay() -> None:
    gpus = [gpu for profile in profiles() for gpu in parse_emulation(f"{profile.name}x{MOST}").gpus]
    uuids = [gpu.uuid for gpu in gpus] + [mig.uuid for gpu in gpus for mig in gpu.mig_devices]
    assert len(uuids) == len(set(uuids))
    assert all(re.fullmatch(f"(GPU|MIG){FORM}", uuid) for uuid in uuids)
    assert parse_emulation("h200").gpus[0] == parse_emulation("h200x2").gpus[0]


def test_an_a100_with_mig_has_seven_equal_instances_and_another_has_unequal_ones() -> None:
    (gpu,) = parse_emulation("a100-mig").gpus
    assert gpu.mig_enabled
    assert [mig.profile for mig in gpu.mig_devices] == ["1g.10gb"] * 7
    assert [mig.index for mig in gpu.mig_devices] == list(range(7))
    (mixed,) = parse_emulation("a100-mig-mixed").gpus
    assert [mig.profile for mig in mixed.mig_devices] == [
        "3g.40gb",
        "2g.20gb",
        "1g.10gb",
        "1g.10gb",
    ]


def test_an_unknown_profile_is_wrong_usage_and_names_the_nearest_and_all() -> None:
    with pytest.raises(UsageError) as caught:
        parse_emulation("h20")
    assert "did you mean h200?" in caught.value.hint
    assert all(profile.name in caught.value.hint for profile in profiles())


@pytest.mark.parametrize("text", ["", "x", "x2", "h200x", "h200x-1", "☃"])
def test_what_names_no_profile_is_wrong_usage(text: str) -> None:
    with pytest.raises(UsageError):
        parse_emulation(text)


@pytest.mark.parametrize("text", ["h200x0", "h200x17", "t4x99999", "t4x" + "9" * 5000])
def test_a_count_outside_1_to_16_is_wrong_usage(text: str) -> None:
    with pytest.raises(UsageError, match=r"1 to 16|no GPU profile"):
        parse_emulation(text)
