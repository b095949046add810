"""ClusterPolicies and the ConfigMaps that they name."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from rota.config.check import Report

Places = Callable[..., list[str]]


def test_a_policy_and_its_configmap_agree(places: Places, config_map: str, policy: str) -> None:
    assert places({"map.yaml": config_map, "policy.yaml": policy}) == []


def test_a_default_that_is_no_key_is_an_error_where_it_stands(
    places: Places, config_map: str, policy: str
) -> None:
    wrong = policy.replace("default: any", "default: all")
    found = places({"map.yaml": config_map, "policy.yaml": wrong})
    assert found == ["policy.yaml:9:16 error policy-default"]


def test_the_hint_names_the_key_that_is_there(
    checked: Callable[..., Report], config_map: str, policy: str
) -> None:
    wrong = policy.replace("default: any", "default: all")
    report = checked({"map.yaml": config_map, "policy.yaml": wrong})
    assert [finding.hint for finding in report.findings][-1] == "write `any`"


def test_a_configmap_with_another_name_is_an_error(
    places: Places, config_map: str, policy: str
) -> None:
    wrong = policy.replace("name: time-slicing-config", "name: time-slicing")
    found = places({"map.yaml": config_map, "policy.yaml": wrong})
    assert found == ["policy.yaml:8:13 error policy-configmap"]


def test_a_configmap_that_was_not_given_is_a_warning(places: Places, policy: str) -> None:
    assert places({"policy.yaml": policy}) == ["policy.yaml:8:13 warning policy-configmap"]


def test_a_configmap_in_another_namespace_is_an_error(
    places: Places, config_map: str, policy: str
) -> None:
    wrong = config_map.replace("namespace: gpu-operator", "namespace: default")
    found = places({"map.yaml": wrong, "policy.yaml": policy})
    assert found == ["map.yaml:4:9 error policy-namespace"]


def test_a_configmap_without_a_namespace_is_a_warning(
    places: Places, config_map: str, policy: str
) -> None:
    wrong = config_map.replace("  namespace: gpu-operator\n", "")
    found = places({"map.yaml": wrong, "policy.yaml": policy})
    assert found == ["map.yaml:4:9 warning policy-namespace"]


def test_a_step_that_restarts_the_plugin_tells_where_the_operator_is(
    places: Places, config_map: str, policy: str
) -> None:
    step = "kubectl rollout restart daemonset/nvidia-device-plugin-daemonset -n gpu-two\n"
    found = places({"map.yaml": config_map, "policy.yaml": policy, "go.sh": step})
    assert found == ["map.yaml:4:9 error policy-namespace"]


def test_a_policy_without_a_default_is_a_warning(
    places: Places, config_map: str, policy: str
) -> None:
    found = places({"m.yaml": config_map, "p.yaml": policy.replace("      default: any\n", "")})
    assert found == ["p.yaml:8:13 warning policy-no-default"]


def test_labels_stand_in_for_a_default(places: Places, config_map: str, policy: str) -> None:
    bare = policy.replace("      default: any\n", "")
    step = "kubectl label node n1 nvidia.com/device-plugin.config=any\n"
    assert places({"m.yaml": config_map, "p.yaml": bare, "label.sh": step}) == []


def test_a_label_that_names_no_key_is_an_error(places: Places, config_map: str) -> None:
    step = "kubectl label node n1 nvidia.com/device-plugin.config=all\n"
    assert places({"m.yaml": config_map, "label.sh": step}) == ["label.sh:1:1 error label-key"]


def test_the_label_of_a_node_manifest_counts_too(places: Places, config_map: str) -> None:
    node = "kind: Node\nmetadata:\n  name: n\n  labels:\n    nvidia.com/device-plugin.config: t4\n"
    assert places({"m.yaml": config_map, "n.yaml": node}) == ["n.yaml:5:38 error label-key"]


def test_another_field_of_the_policy_is_a_warning(
    places: Places, config_map: str, policy: str
) -> None:
    wrong = policy.replace("default: any", "defualt: any")
    found = places({"m.yaml": config_map, "p.yaml": wrong})
    assert "p.yaml:9:7 warning policy-shape" in found


def test_a_config_that_is_no_map_is_named(places: Places, policy: str) -> None:
    wrong = policy[: policy.index("config:")] + "config: time-slicing-config\n"
    assert places({"p.yaml": wrong}) == ["p.yaml:7:13 warning policy-shape"]


@pytest.mark.parametrize(
    "patch",
    [
        "spec:\n  devicePlugin:\n    config:\n      {name: time-slicing-config, default: all}\n",
        '[{"op": "add", "path": "/spec/devicePlugin/config",\n'
        ' "value": {"name": "time-slicing-config", "default": "all"}}]\n',
        "- {op: add, path: /spec/devicePlugin/config/name, value: time-slicing-config}\n"
        "- {op: add, path: /spec/devicePlugin/config/default, value: all}\n",
    ],
    ids=["merge", "json", "json in parts"],
)
def test_a_patch_of_a_policy_is_judged_like_a_policy(
    places: Places, config_map: str, patch: str
) -> None:
    found = places({"m.yaml": config_map, "patch.yaml": patch})
    assert [place.split(" ", 1)[1] for place in found] == ["error policy-default"]


def test_a_patch_in_a_step_is_judged_too(places: Places, config_map: str) -> None:
    step = (
        "kubectl patch clusterpolicy cluster-policy --type merge \\\n"
        """  -p '{"spec": {"devicePlugin": {"config": {"name": "time-slicing-config", "default": "x"}}}}'\n"""
    )
    assert places({"m.yaml": config_map, "go.sh": step}) == ["go.sh:1:1 error policy-default"]


def test_a_patch_of_the_name_alone_leaves_the_default_as_it_is(
    places: Places, config_map: str
) -> None:
    patch = "- {op: replace, path: /spec/devicePlugin/config/name, value: time-slicing-config}\n"
    assert places({"m.yaml": config_map, "patch.yaml": patch}) == []
