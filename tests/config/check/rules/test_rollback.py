"""Rollback steps in scripts and pages."""

from __future__ import annotations

from collections.abc import Callable

import pytest

Places = Callable[..., list[str]]

PATCH = (
    "kubectl patch clusterpolicy cluster-policy --type='json' "
    """-p='[{"op": "remove", "path": "/spec/devicePlugin/config"}]'\n"""
)
DELETE = "kubectl delete configmap time-slicing-config -n gpu-operator\n"


@pytest.fixture
def steps(places: Places, config_map: str, policy: str) -> Callable[[str], list[str]]:
    """What is said about a script beside a set-up that is well."""

    def run(script: str) -> list[str]:
        return places({"m.yaml": config_map, "p.yaml": policy, "back.sh": script})

    return run


Steps = Callable[[str], list[str]]


def test_steps_that_undo_the_set_up_are_well(steps: Steps) -> None:
    assert steps(PATCH + DELETE) == []


def test_a_step_that_deletes_another_name_is_an_error(steps: Steps) -> None:
    wrong = PATCH + DELETE.replace("time-slicing-config", "time-slicing")
    assert steps(wrong) == ["back.sh:2:1 error rollback-name"]


def test_a_typo_is_seen_even_beside_the_right_step(steps: Steps) -> None:
    typo = DELETE.replace("slicing", "slice")
    assert steps(PATCH + typo + DELETE) == ["back.sh:2:1 error rollback-name"]


def test_other_configmaps_may_be_deleted_too(steps: Steps) -> None:
    assert steps(PATCH + DELETE + "kubectl delete cm grafana -n monitoring\n") == []


@pytest.mark.parametrize(
    "step",
    [
        "kubectl delete configmap time-slicing-config",
        "kubectl delete cm/time-slicing-config -n gpu-operator-resources",
        "kubectl -n default delete configmaps time-slicing-config",
        "$ sudo kubectl delete cm time-slicing-config --namespace=default --ignore-not-found",
    ],
)
def test_another_namespace_is_an_error(steps: Steps, step: str) -> None:
    found = steps(PATCH + step + "\n")
    assert [place.split(" ", 1)[1] for place in found] == ["error rollback-namespace"]


def test_a_namespace_in_a_variable_may_be_right(steps: Steps) -> None:
    assert steps(PATCH + 'kubectl delete cm time-slicing-config -n "$NAMESPACE"\n') == []


def test_another_policy_is_an_error(steps: Steps) -> None:
    wrong = PATCH.replace("cluster-policy", "gpu-cluster-policy")
    assert steps(wrong + DELETE) == ["back.sh:1:1 error rollback-policy"]


def test_a_path_that_the_set_up_does_not_fill_is_an_error(steps: Steps) -> None:
    wrong = PATCH.replace("devicePlugin/config", "devicePlugin/configMap")
    assert steps(wrong + DELETE) == ["back.sh:1:1 error patch-path"]


def test_the_configmap_first_is_noted(steps: Steps) -> None:
    assert steps(DELETE + PATCH) == ["back.sh:1:1 note rollback-order"]


def test_a_restart_elsewhere_is_a_warning(places: Places, config_map: str) -> None:
    step = "kubectl rollout restart ds/nvidia-device-plugin-daemonset -n kube-system\n"
    found = places({"m.yaml": config_map, "go.sh": step})
    assert found == ["go.sh:1:1 warning restart-namespace"]


def test_fenced_blocks_of_a_page_are_steps(places: Places, config_map: str) -> None:
    page = (
        "# Back\n\n1. Undo:\n   ```bash\n   kubectl delete cm time-slice -n gpu-operator\n   ```\n"
    )
    found = places({"m.yaml": config_map, "README.md": page})
    assert found == ["README.md:5:4 error rollback-name"]


def test_prose_is_no_step(places: Places, config_map: str) -> None:
    page = "Never type `kubectl delete cm other`:\nkubectl delete cm other -n x\n"
    assert places({"m.yaml": config_map, "README.md": page}) == []


def test_a_generated_name_cannot_be_deleted_without_its_hash(places: Places) -> None:
    files = {
        "kustomization.yaml": "configMapGenerator:\n- name: slicing\n  files: [any]\nnamespace: gpu-operator\n",
        "any": "version: v1\nsharing: {timeSlicing: {resources: [{name: gpu, replicas: 2}]}}\n",
        "back.sh": "kubectl delete cm slicing -n gpu-operator\n",
    }
    assert places(files, ".") == ["back.sh:1:1 error rollback-name"]


def test_a_configmap_that_steps_create_is_known_to_the_rollback(places: Places) -> None:
    config = "version: v1\nsharing: {timeSlicing: {resources: [{name: gpu, replicas: 2}]}}\n"
    script = (
        "kubectl create configmap slicing -n gpu-operator --from-file=any=config.yaml\n"
        "kubectl delete configmap slicing -n default\n"
    )
    found = places({"config.yaml": config, "go.sh": script}, "go.sh")
    assert found == ["go.sh:2:1 error rollback-namespace"]
