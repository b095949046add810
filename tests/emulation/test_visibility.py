"""Which devices a program sees."""

from __future__ import annotations

import pytest

from rota.emulation.profiles import parse_emulation
from rota.emulation.visibility import visible

TWO = parse_emulation("t4x2")
FIRST, SECOND = (gpu.uuid for gpu in TWO.gpus)
CUT = parse_emulation("a100-mig")
PART = CUT.gpus[0].mig_devices[2].uuid


def seen(**environment: str) -> list[str]:
    return [device.uuid for device in visible(TWO, environment)]


def test_without_any_word_all_are_seen() -> None:
    assert seen() == [FIRST, SECOND]


@pytest.mark.parametrize("nothing", ["", "void", "none"])
def test_the_runtime_may_inject_none(nothing: str) -> None:
    assert seen(NVIDIA_VISIBLE_DEVICES=nothing) == []


def test_the_runtime_injects_by_uuid_by_index_or_all() -> None:
    assert seen(NVIDIA_VISIBLE_DEVICES=SECOND) == [SECOND]
    assert seen(NVIDIA_VISIBLE_DEVICES="1") == [SECOND]
    assert seen(NVIDIA_VISIBLE_DEVICES=f"{SECOND},{FIRST}") == [FIRST, SECOND]
    assert seen(NVIDIA_VISIBLE_DEVICES="all") == [FIRST, SECOND]


def test_cuda_chooses_and_orders_among_what_was_injected() -> None:
    assert seen(CUDA_VISIBLE_DEVICES="1,0") == [SECOND, FIRST]
    assert seen(NVIDIA_VISIBLE_DEVICES=SECOND, CUDA_VISIBLE_DEVICES="0") == [SECOND]
    assert seen(NVIDIA_VISIBLE_DEVICES=SECOND, CUDA_VISIBLE_DEVICES=FIRST) == []
    assert seen(CUDA_VISIBLE_DEVICES=SECOND[:12]) == [SECOND]


@pytest.mark.parametrize("names", ["7,0", "-1,0", "x,0", "GPU-,0"])
def test_cuda_stops_at_what_it_does_not_know(names: str) -> None:
    assert seen(CUDA_VISIBLE_DEVICES=names) == []
    assert seen(CUDA_VISIBLE_DEVICES="1," + names) == [SECOND]


def test_mig_instances_are_devices_of_their_own() -> None:
    (device,) = visible(CUT, {"NVIDIA_VISIBLE_DEVICES": PART})
    assert device.uuid == PART
    assert visible(CUT, {"NVIDIA_VISIBLE_DEVICES": "0:2"}) == (device,)
    assert len(visible(CUT, {"NVIDIA_VISIBLE_DEVICES": CUT.gpus[0].uuid})) == 7
