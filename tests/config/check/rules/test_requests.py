"""What pods ask for."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from rota.config.check import Report

Places = Callable[..., list[str]]
Make = Callable[..., str]


def test_a_request_without_a_limit_is_an_error(places: Places, pod: Make) -> None:
    found = places({"p.yaml": pod("requests: {nvidia.com/gpu: 1}")})
    assert found == ["p.yaml:8:34 error request-without-limit"]


def test_a_limit_alone_is_well(places: Places, pod: Make) -> None:
    assert places({"p.yaml": pod("limits: {nvidia.com/gpu: 1}")}) == []


@pytest.mark.parametrize("request_", ["1", '"1"', "1000m", "1e0"])
def test_an_equal_request_is_well_however_it_is_written(
    places: Places, pod: Make, request_: str
) -> None:
    resources = f"limits: {{nvidia.com/gpu: 1}}\n      requests: {{nvidia.com/gpu: {request_}}}"
    assert places({"p.yaml": pod(resources)}) == []


def test_a_request_that_differs_from_its_limit_is_an_error(places: Places, pod: Make) -> None:
    resources = "limits: {nvidia.com/gpu: 2}\n      requests: {nvidia.com/gpu: 1}"
    assert places({"p.yaml": pod(resources)}) == ["p.yaml:9:34 error request-not-equal"]


@pytest.mark.parametrize("value", ["0.5", "500m", "-1", "true", "one", "[1]", ".inf", "1e-3"])
def test_what_is_no_whole_number_is_an_error(places: Places, pod: Make, value: str) -> None:
    found = places({"p.yaml": pod(f"limits: {{nvidia.com/gpu: {value}}}")})
    assert found == ["p.yaml:8:32 error request-not-integer"]


def test_a_pod_may_ask_for_as_many_replicas_as_16_gpus_have(
    places: Places, config: Make, pod: Make
) -> None:
    files = {"c.yaml": config(), "p.yaml": pod("limits: {nvidia.com/gpu: 64}")}
    assert places(files) == ["p.yaml:8:32 note several-replicas"]


def test_one_more_fits_no_node(places: Places, config: Make, pod: Make) -> None:
    files = {"c.yaml": config(), "p.yaml": pod("limits: {nvidia.com/gpu: 65}")}
    assert places(files) == ["p.yaml:8:32 error request-too-many"]


def test_the_message_says_where_the_most_comes_from(
    checked: Callable[..., Report], config: Make, pod: Make
) -> None:
    report = checked(
        {"c.yaml": config("devices: 2"), "p.yaml": pod("limits: {nvidia.com/gpu: 65}")}
    )
    assert "4 replicas × 2 chosen devices" in report.findings[-1].message


@pytest.mark.parametrize("devices", ["2", '["0", "1"]'])
def test_chosen_devices_count_with_the_whole_ones_that_are_left(
    places: Places, config: Make, pod: Make, devices: str
) -> None:
    renamed = config(f"devices: {devices}\nrename: nvidia.com/small")
    files = {"c.yaml": renamed, "p.yaml": pod("limits: {nvidia.com/small: 9}")}
    assert "p.yaml:8:34 error request-too-many" in places(files)


def test_what_needs_whole_gpus_beside_the_replicas_is_a_warning(
    places: Places, config: Make, pod: Make
) -> None:
    files = {"c.yaml": config("devices: 2"), "p.yaml": pod("limits: {nvidia.com/gpu: 9}")}
    assert "p.yaml:8:32 warning request-too-many" in places(files)


def test_all_containers_of_a_pod_count_together(places: Places, config: Make, pod: Make) -> None:
    second = "  - name: d\n    resources: {limits: {nvidia.com/gpu: 33}}\n"
    files = {"c.yaml": config(), "p.yaml": pod("limits: {nvidia.com/gpu: 32}", second)}
    assert "p.yaml:8:32 error request-too-many" in places(files)


def test_init_containers_do_not_add_up(places: Places, config: Make, pod: Make) -> None:
    second = "  initContainers:\n  - name: d\n    resources: {limits: {nvidia.com/gpu: 64}}\n"
    files = {"c.yaml": config(), "p.yaml": pod("limits: {nvidia.com/gpu: 64}", second)}
    assert not [place for place in places(files) if "error" in place]


def test_the_largest_of_several_configs_decides(places: Places, config: Make, pod: Make) -> None:
    files = {
        "small.yaml": config(),
        "large.yaml": config().replace("replicas: 4", "replicas: 8"),
        "p.yaml": pod("limits: {nvidia.com/gpu: 128}"),
    }
    assert places(files) == ["p.yaml:8:32 note several-replicas"]


def test_two_replicas_are_refused_where_the_config_refuses_them(
    places: Places, config: Make, pod: Make
) -> None:
    strict = config(block="failRequestsGreaterThanOne: true")
    files = {"c.yaml": strict, "p.yaml": pod("limits: {nvidia.com/gpu: 2}")}
    assert places(files) == ["p.yaml:8:32 error request-more-than-one"]


def test_it_is_a_warning_where_some_configs_refuse(places: Places, config: Make, pod: Make) -> None:
    files = {
        "c.yaml": config(block="failRequestsGreaterThanOne: true"),
        "d.yaml": config(),
        "p.yaml": pod("limits: {nvidia.com/gpu: 2}"),
    }
    assert places(files) == ["p.yaml:8:32 warning request-more-than-one"]


def test_two_whole_gpus_are_nothing_to_speak_of(places: Places, pod: Make) -> None:
    files = {"c.yaml": "version: v1\n", "p.yaml": pod("limits: {nvidia.com/gpu: 2}")}
    assert places(files) == ["c.yaml:1:1 note nothing-shared"]


def test_a_container_that_sees_all_gpus_by_itself_is_a_warning(places: Places, pod: Make) -> None:
    env = "    env:\n    - {name: NVIDIA_VISIBLE_DEVICES, value: all}\n"
    found = places({"p.yaml": pod("limits: {cpu: 1}", env)})
    assert found == ["p.yaml:10:45 warning visible-devices"]


@pytest.mark.parametrize("value", ["none", "void", '""'])
def test_a_container_that_hides_them_is_well(places: Places, pod: Make, value: str) -> None:
    env = f"    env:\n    - {{name: NVIDIA_VISIBLE_DEVICES, value: {value}}}\n"
    assert places({"p.yaml": pod("limits: {cpu: 1}", env)}) == []


def test_monitoring_daemonsets_may_see_all(places: Places) -> None:
    text = """\
        kind: DaemonSet
        metadata: {name: dcgm}
        spec:
          template:
            spec:
              containers:
              - name: c
                image: nvcr.io/nvidia/k8s/dcgm-exporter:4
                env: [{name: NVIDIA_VISIBLE_DEVICES, value: all}]
        """
    assert places({"d.yaml": text}) == []


@pytest.mark.parametrize(
    ("kind", "path"),
    [
        ("Deployment", "spec: {template: {spec: %s}}"),
        ("StatefulSet", "spec: {template: {spec: %s}}"),
        ("DaemonSet", "spec: {template: {spec: %s}}"),
        ("Job", "spec: {template: {spec: %s}}"),
        ("CronJob", "spec: {jobTemplate: {spec: {template: {spec: %s}}}}"),
    ],
)
def test_whatever_makes_pods_is_read(places: Places, kind: str, path: str) -> None:
    spec = "{containers: [{name: c, resources: {requests: {nvidia.com/gpu: 1}}}]}"
    found = places({"w.yaml": f"kind: {kind}\nmetadata: {{name: w}}\n{path % spec}\n"})
    assert [place.split()[-1] for place in found] == ["request-without-limit"]


def test_the_items_of_a_list_are_read(places: Places) -> None:
    spec = "{containers: [{name: c, resources: {requests: {nvidia.com/gpu: 1}}}]}"
    text = f"kind: List\nitems:\n- {{kind: Pod, metadata: {{name: p}}, spec: {spec}}}\n"
    assert [place.split()[-1] for place in places({"l.yaml": text})] == ["request-without-limit"]
