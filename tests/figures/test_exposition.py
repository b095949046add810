"""The text of a scrape, read back with prometheus-client's parser and by promtool."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import replace

import pytest
from prometheus_client.parser import text_string_to_metric_families as parse

from rota.figures.catalogue import every
from rota.figures.exposition import exposition
from rota.figures.model import (
    ClientFigures,
    GpuFigures,
    Histogram,
    OwnFigures,
    ProcessFigures,
    Snapshot,
    State,
    Times,
)

AWKWARD = 'a "pod"\\with\nall'
CLIENT_A = ClientFigures(
    "default/a/main", "GPU-1", namespace="default", pod="a", container="main", state=State.TURN,
    share=0.25, processes=(ProcessFigures(7, 5),), gpu_seconds_total=3.0, utilization=0.5,
    turns={"expired": 4, "yielded": 1}, waits=Histogram(counts=(1, 0, 2, *(0,) * 11), seconds=0.01),
    gate_open=Times(5, 0.5), memory_bytes=5 << 20, memory_limit_bytes=9, power_watts=1e-7,
)  # fmt: skip
CLIENT_B = ClientFigures(f"job/{AWKWARD}", "GPU-1", state=State.UNGATED, why="so it is")
GPU_1 = GpuFigures(
    "GPU-1", 0, 3, "NVIDIA H200", "0000:c1:00.0", utilization=0.5, memory_used_bytes=3 << 20,
    memory_free_bytes=4 << 20, temperature_celsius=41.0, power_watts=312.5, sm_clock_hertz=1.98e9,
    xids={79: 2, 31: 1}, last_xid=79, turns_off="mode: driver", memory_utilization=0.25,
    memory_clock_hertz=3.2e9,
)  # fmt: skip
SNAPSHOT = Snapshot(
    1.0, "here", True, "580.1", True, (GPU_1,), (CLIENT_A, CLIENT_B), OwnFigures("0.1")
)

Series = dict[tuple[str, frozenset[tuple[str, str]]], float]


def read(text: bytes) -> Series:
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in parse(text.decode())
        for sample in family.samples
    }


def value(series: Series, name: str, **labels: str) -> float:
    (found,) = (
        value
        for (each, borne), value in series.items()
        if each == name and labels.items() <= dict(borne).items()
    )
    return found


def test_every_kind_of_metric_is_read_back_as_it_was() -> None:
    series = read(exposition(SNAPSHOT, scrape_seconds=0.02))
    assert value(series, "rota_gpu_seconds_total", pod="a") == 3.0
    assert value(series, "rota_turns_total", pod="a", end="expired") == 4
    assert value(series, "rota_turn_wait_seconds_bucket", pod="a", le="0.005") == 3
    assert value(series, "rota_turn_wait_seconds_bucket", pod="a", le="+Inf") == 3
    assert value(series, "rota_turn_wait_seconds_count", pod="a") == 3
    assert value(series, "rota_gate_seconds_sum", pod="a", op="open") == 0.5
    assert value(series, "rota_power_estimate_watts", pod="a") == 1e-7
    assert value(series, "rota_gpu_xids_total", xid="79") == 2
    assert value(series, "rota_gpu_turns_off_info", why="mode: driver") == 1
    assert value(series, "rota_emulated") == 1
    assert value(series, "rota_scrape_seconds") == 0.02


def test_labels_with_quotes_slashes_and_line_breaks_come_back_whole() -> None:
    series = read(exposition(SNAPSHOT))
    assert value(series, "rota_client_ungated", client=f"job/{AWKWARD}") == 1


def test_what_is_not_known_has_no_series() -> None:
    names = {name for name, _ in read(exposition(replace(SNAPSHOT, clients=(CLIENT_B,))))}
    assert "rota_memory_limit_bytes" not in names
    assert "rota_power_estimate_watts" not in names
    assert "rota_gpu_power_limit_watts" not in names
    assert "rota_memory_used_bytes" in names


def test_who_has_gone_is_in_one_scrape_with_the_same_labels() -> None:
    before = read(exposition(SNAPSHOT))
    gone = read(exposition(replace(SNAPSHOT, clients=(CLIENT_B,)), (CLIENT_A,)))
    after = read(exposition(replace(SNAPSHOT, clients=(CLIENT_B,))))
    assert before == gone
    assert not [labels for _, labels in after if ("pod", "a") in labels]


def test_every_metric_of_the_catalogue_is_declared() -> None:
    text = exposition(SNAPSHOT).decode()
    for metric in every():
        assert f"# TYPE {metric.name} {metric.kind}\n" in text


def test_dcgm_names_have_its_labels_and_units() -> None:
    series = read(exposition(SNAPSHOT, dcgm_names=True))
    device = {
        "gpu": "0", "UUID": "GPU-1", "pci_bus_id": "00000000:C1:00.0", "device": "nvidia3",
        "modelName": "NVIDIA H200", "Hostname": "here", "DCGM_FI_DRIVER_VERSION": "580.1",
    }  # fmt: skip
    assert value(series, "DCGM_FI_DEV_GPU_UTIL", pod="", **device) == 50
    assert value(series, "DCGM_FI_DEV_GPU_UTIL", pod="a", namespace="default", **device) == 50
    assert value(series, "DCGM_FI_DEV_FB_USED", pod="", **device) == 3
    assert value(series, "DCGM_FI_DEV_FB_USED", pod="a", **device) == 5
    assert value(series, "DCGM_FI_DEV_SM_CLOCK", **device) == 1980
    assert value(series, "DCGM_FI_DEV_XID_ERRORS", **device) == 79


def test_only_what_is_true_of_a_pod_is_told_of_pods_under_dcgm_names() -> None:
    series = read(exposition(SNAPSHOT, dcgm_names=True))
    of_pods = {name for name, labels in series if ("pod", "a") in labels}
    assert {name for name in of_pods if name.startswith("DCGM")} == {
        "DCGM_FI_DEV_GPU_UTIL",
        "DCGM_FI_DEV_FB_USED",
    }


@pytest.mark.skipif(shutil.which("promtool") is None, reason="needs promtool (apt: prometheus)")
def test_promtool_finds_nothing_to_say() -> None:
    done = subprocess.run(
        ["promtool", "check", "metrics"],
        input=exposition(SNAPSHOT), capture_output=True, timeout=60, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
