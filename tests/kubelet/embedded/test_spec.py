"""Pods that can be, and pods that cannot."""

from __future__ import annotations

from typing import Any

import pytest

from rota.kubelet.embedded import ContainerSpec, InvalidPod, PodSpec, Timing

GPU = "nvidia.com/gpu"
OK = ContainerSpec("main", ("true",))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"name": "No"}, "metadata.name"),
        ({"namespace": "a.b"}, "metadata.namespace"),
        ({"containers": ()}, "spec.containers: Required value"),
        ({"containers": (OK, OK)}, 'Duplicate value: "main"'),
        ({"init_containers": (OK,)}, 'Duplicate value: "main"'),
        ({"restart_policy": "Sometimes"}, "spec.restartPolicy"),
        ({"termination_grace_seconds": -1}, "terminationGracePeriodSeconds"),
        ({"containers": (ContainerSpec("../x", ("true",)),)}, "spec.containers.name"),
        ({"containers": (ContainerSpec("a", ()),)}, "command: Required value"),
        ({"containers": (ContainerSpec("a", ("x\0",)),)}, "NUL"),
        ({"containers": (ContainerSpec("a", ("x",), env={"A=B": ""}),)}, "env"),
        ({"containers": (ContainerSpec("a", ("x",), limits={GPU: -1}),)}, "greater than or equal"),
    ],
)
def test_what_an_api_server_refuses_is_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidPod) as caught:
        PodSpec(**{"name": "p", "containers": (OK,), **fields})
    assert message in str(caught.value)
    assert "is invalid: " in caught.value.what


def test_only_extended_resources_count() -> None:
    limits = {"memory": 5, GPU: 2, "a.b/c": 1, "a.b/none": 0}
    assert ContainerSpec("a", ("x",), limits=limits).devices == {"a.b/c": 1, GPU: 2}


def test_a_pod_asks_for_its_containers_together_or_its_largest_init_container() -> None:
    one = ContainerSpec("a", ("x",), limits={GPU: 1, "a.b/c": 1})
    two = ContainerSpec("b", ("x",), limits={GPU: 1})
    first = ContainerSpec("i", ("x",), limits={GPU: 4})
    assert PodSpec("p", (one, two)).requests == {GPU: 2, "a.b/c": 1}
    assert PodSpec("p", (one, two), init_containers=(first,)).requests == {GPU: 4, "a.b/c": 1}


def test_the_first_restart_is_at_once_and_the_wait_doubles_up_to_five_minutes() -> None:
    waits = [Timing().backoff(exits) for exits in range(1, 9)]
    assert waits == [0, 10, 20, 40, 80, 160, 300, 300]
    assert Timing().backoff(10_000) == 300
