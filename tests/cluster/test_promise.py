"""How many replicas a node should offer, by its config and its labels."""

from __future__ import annotations

import pytest

from rota.cluster.gpus import GpuNode
from rota.cluster.promise import Due, as_nvidia_reads, due, promised
from rota.config.load import load_text
from rota.config.schema import Config

GPU, MINE = "nvidia.com/gpu", "nvidia.com/mine"
UUID = "GPU-97d443a5-366f-5e66-8654-b68bce86e81c"


def config(*entries: str) -> Config:
    listed = ", ".join(f"{{name: {GPU}, {entry}}}" for entry in entries)
    text = f"version: v1\nsharing: {{timeSlicing: {{resources: [{listed}]}}}}\n"
    return load_text(text, "c").config


def node(count: str = "", **capacity: int) -> GpuNode:
    return GpuNode("n", {f"{GPU}.count": count} if count else {}, capacity)


@pytest.mark.parametrize(
    ("entry", "ours", "nvidias"),
    [
        ("replicas: 4", {GPU: 8}, {GPU: 8}),
        (f"replicas: 4, rename: {MINE}", {MINE: 8}, {GPU: 8}),
        ("replicas: 4, devices: [0]", {GPU: 5}, {GPU: 8}),
        (f"replicas: 4, devices: 1, rename: {MINE}", {MINE: 4, GPU: 1}, {GPU: 8}),
        (f"replicas: 4, devices: [{UUID}]", None, {GPU: 8}),
    ],
)
def test_two_gpus_come_to(entry: str, ours: dict[str, int] | None, nvidias: dict[str, int]) -> None:
    assert promised(config(entry), node("2")) == ours
    assert promised(as_nvidia_reads(config(entry)), node("2")) == nvidias


def test_whole_gpus_are_promised_too() -> None:
    assert due(Config(), node("2")) == {GPU: Due(2)}
    assert due(Config(), node()) == {}


def test_where_nobody_counts_devices_a_multiple_will_do() -> None:
    (alone,) = due(config("replicas: 4"), node()).values()
    assert [n for n in range(10) if alone.fits(n)] == [4, 8]
    (known,) = due(config("replicas: 4"), node("2")).values()
    assert [n for n in range(10) if known.fits(n)] == [8]
    assert (str(alone), str(known)) == ("4 for each device", "8")


def test_whole_ones_beside_those_that_are_named_by_uuid_count_with_them() -> None:
    by_uuid = f"replicas: 4, devices: [{UUID}]"
    (beside,) = due(config(by_uuid), node("2")).values()
    assert [n for n in range(7) if beside.fits(n)] == [4, 5, 6]
    renamed = due(config(f"{by_uuid}, rename: {MINE}"), node("2"))
    assert [n for n in range(10) if renamed[MINE].fits(n)] == [4, 8]
    (two,) = due(config(by_uuid, "replicas: 3, devices: [1]"), node("2")).values()
    assert [n for n in range(5) if two.fits(n)] == [3, 4]
