"""What frameworks are told: only those named, never over what is set, never more than the limit."""

from __future__ import annotations

import os

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rota.config.schema import Memory
from rota.errors import RotaError
from rota.memory.hints import Cap, caps, hints
from rota.model import Device, Gpu, Replica, Resource

RANDOM = os.environ.get("ROTA_EXAMPLES")
PROFILE = settings(
    max_examples=int(RANDOM or 60), derandomize=not RANDOM, deadline=None, database=None
)
ALL = ("jax", "cupy", "pytorch")
GIB = 2**30
QUARTER = Cap(limit=4 * GIB, total=16 * GIB)


def test_each_framework_is_told_in_its_own_words() -> None:
    assert hints(ALL, [QUARTER], {}) == {
        "XLA_PYTHON_CLIENT_MEM_FRACTION": "0.2500",
        "CUPY_GPU_MEMORY_LIMIT": str(4 * GIB),
        "PYTORCH_CUDA_ALLOC_CONF": "per_process_memory_fraction:0.2500",
    }


def test_only_those_named_are_told() -> None:
    assert hints([], [QUARTER], {}) == {}
    assert list(hints(["cupy"], [QUARTER], {})) == ["CUPY_GPU_MEMORY_LIMIT"]


@pytest.mark.parametrize(
    ("framework", "variable"),
    [
        ("jax", "XLA_PYTHON_CLIENT_MEM_FRACTION"),
        ("jax", "XLA_CLIENT_MEM_FRACTION"),
        ("cupy", "CUPY_GPU_MEMORY_LIMIT"),
        ("pytorch", "PYTORCH_CUDA_ALLOC_CONF"),
        ("pytorch", "PYTORCH_ALLOC_CONF"),
    ],
)
def test_what_is_set_is_left_alone_even_if_it_is_set_to_nothing(
    framework: str, variable: str
) -> None:
    for value in ("0.9", ""):
        assert hints([framework], [QUARTER], {variable: value}) == {}


def test_the_context_is_not_the_frameworks_to_spend() -> None:
    assert hints(["cupy"], [QUARTER], {}, context=GIB) == {"CUPY_GPU_MEMORY_LIMIT": str(3 * GIB)}


def test_of_several_gpus_the_tightest_limit_is_told() -> None:
    caps = [Cap(8 * GIB, 16 * GIB), Cap(6 * GIB, 80 * GIB)]
    told = hints(["jax", "cupy"], caps, {})
    assert told["XLA_PYTHON_CLIENT_MEM_FRACTION"] == "0.0750"
    assert told["CUPY_GPU_MEMORY_LIMIT"] == str(6 * GIB)


def test_a_whole_gpu_or_none_at_all_is_no_hint() -> None:
    assert hints(ALL, [Cap(16 * GIB, 16 * GIB)], {}) == {}
    assert hints(ALL, [], {}) == {}
    assert hints(ALL, [QUARTER], {}, context=4 * GIB) == {}


def test_an_unknown_framework_is_refused() -> None:
    with pytest.raises(RotaError, match="no hints are known for torch") as refused:
        hints(["torch"], [QUARTER], {})
    assert "cupy, jax, pytorch" in refused.value.hint


@PROFILE
@given(st.integers(1, 10**12), st.integers(1, 10**12), st.integers(0, 10**9))
def test_what_is_told_never_goes_beyond_the_limit(limit: int, total: int, context: int) -> None:
    told = hints(ALL, [Cap(limit, total)], {}, context)
    if told:
        fraction = float(told["XLA_PYTHON_CLIENT_MEM_FRACTION"])
        assert 0 < fraction < 1
        assert fraction * total <= (limit - context) * (1 + 1e-9)
        assert int(told["CUPY_GPU_MEMORY_LIMIT"]) + context <= limit


def test_replicas_of_a_shared_gpu_are_caps_and_a_whole_one_is_none() -> None:
    gpu = Gpu("GPU-1", 0, 0, "T4", 16 * 2**30, (7, 5))
    other = Gpu("GPU-2", 1, 1, "T4", 16 * 2**30, (7, 5))
    ids = tuple(Replica("GPU-1", n) for n in range(4))
    shared = Resource("nvidia.com/gpu", (Device(gpu),), ids, "time-slicing")
    whole = Resource("nvidia.com/whole", (Device(other),), (Replica("GPU-2"),))
    held = (*ids[:2], Replica("GPU-2"))
    assert caps(held, (shared, whole), Memory(reserve=0), context=0) == (
        Cap(8 * 2**30, 16 * 2**30),
    )
    assert caps(held, (shared,), Memory(limit="none"), context=0) == ()
