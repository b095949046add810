"""Why the programs of a GPU do without turns."""

from __future__ import annotations

from dataclasses import replace

import pytest

from rota.gpu.capability import Rights, own_rights, why_no_paging, why_no_turns
from rota.model import Gpu

GPU = Gpu("GPU-1", 0, 0, "NVIDIA H200", 2**37, (9, 0))
MIG = replace(GPU, mig_enabled=True)
ALL = Rights(root=True, ptrace=True, bindings=(13, 5, 0))


def test_turns_are_possible_on_a_good_driver_with_all_rights() -> None:
    assert why_no_turns(GPU, "580.159.04", ALL) == ""
    assert why_no_turns(GPU, "570.00", ALL) == ""
    assert why_no_paging(GPU, "580.159.04", ALL) == ""


@pytest.mark.parametrize(
    ("version", "why"),
    [
        ("565.57.01", "driver 565.57.01 is older than 570"),
        ("610.57", "driver 610.57 is known to do harm: a lock was seen to end the locked program"),
        ("610.57.02", "driver 610.57.02 is known to do harm"),
        ("", "the driver version is unknown"),
        ("N/A", "the driver version is unknown"),
    ],
)
def test_a_driver_that_is_too_old_or_does_harm_is_named(version: str, why: str) -> None:
    assert why_no_turns(GPU, version).startswith(why)


def test_a_driver_may_be_good_for_turns_and_bad_for_paging() -> None:
    assert why_no_turns(GPU, "595.71.05", ALL) == ""
    assert "hang the host" in why_no_paging(GPU, "595.71.05", ALL)


def test_mig_has_no_turns() -> None:
    assert why_no_turns(MIG, "580.159.04", ALL).startswith("MIG is on")


@pytest.mark.parametrize(
    ("rights", "why"),
    [
        (replace(ALL, bindings=None), "cuda-bindings is not installed"),
        (replace(ALL, bindings=(12, 6)), "cuda-bindings 12.6 is older than 12.8"),
        (replace(ALL, ptrace=False), "root without CAP_SYS_PTRACE"),
    ],
)
def test_what_this_process_lacks_is_named(rights: Rights, why: str) -> None:
    assert why_no_turns(GPU, "580.159.04", rights).startswith(why)


def test_a_plain_user_gates_its_own_programs() -> None:
    assert why_no_turns(GPU, "580.159.04", replace(ALL, root=False, ptrace=False)) == ""


def test_the_rights_of_this_process_can_be_read() -> None:
    rights = own_rights()
    assert rights.bindings is not None
    assert rights.bindings >= (12, 8)
