"""kustomizations, as far as the rules need them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from rota.config.check import Report, check
from rota.config.check.files import Disk
from rota.config.check.kustomize import build

Places = Callable[..., list[str]]

DATA = Path(__file__).parent / "data"

CONFIG = "version: v1\nsharing:\n  timeSlicing:\n    resources:\n    - name: nvidia.com/gpu\n      replicas: 4\n"
MAP = """\
kind: ConfigMap
metadata: {name: slicing, namespace: gpu-operator}
data:
  any: |
    version: v1
    sharing: {timeSlicing: {resources: [{name: gpu, replicas: 4}]}}
"""
POLICY = """\
apiVersion: nvidia.com/v1
kind: ClusterPolicy
metadata: {name: cluster-policy}
spec: {devicePlugin: {config: {name: slicing, default: any}}}
"""


def test_resources_are_read_and_files_beside_them_too(places: Places) -> None:
    files = {
        "kustomization.yaml": "resources: [map.yaml]\n",
        "map.yaml": MAP,
        "pod.yaml": "kind: Pod\nspec: {containers: [{name: c, resources: {requests: {nvidia.com/gpu: 1}}}]}\n",
    }
    assert [p.split()[-1] for p in places(files, ".")] == ["request-without-limit"]


def test_a_resource_that_is_not_there_is_an_error_where_it_is_named(places: Places) -> None:
    files = {"kustomization.yaml": "resources:\n- map.yaml\n- mop.yaml\n", "map.yaml": MAP}
    assert places(files, ".") == ["kustomization.yaml:3:3 error file-missing"]


def test_the_file_itself_stands_for_its_folder(places: Places) -> None:
    files = {"k/kustomization.yaml": "resources:\n- mop.yaml\n"}
    assert places(files, "k/kustomization.yaml") == ["k/kustomization.yaml:2:3 error file-missing"]


@pytest.mark.parametrize(
    "patch",
    [
        "patches:\n- path: policy.yaml\n  target: {kind: ClusterPolicy, name: cluster-policy}\n",
        "patches:\n- path: policy.yaml\n",
        "patchesStrategicMerge:\n- policy.yaml\n",
        "patchesJson6902:\n- target: {kind: ClusterPolicy, name: cluster-policy}\n  path: policy.json\n",
    ],
)
def test_a_patch_for_what_is_in_no_resource_is_an_error(places: Places, patch: str) -> None:
    files = {
        "kustomization.yaml": f"resources: [map.yaml]\n{patch}",
        "map.yaml": MAP,
        "policy.yaml": POLICY,
        "policy.json": '[{"op": "add", "path": "/spec/a", "value": 1}]',
    }
    found = [place for place in places(files, ".") if "kustomization" in place]
    assert [place.split(" ", 1)[1] for place in found] == ["error patch-target-missing"]


def test_what_a_lost_patch_says_is_judged_all_the_same(places: Places) -> None:
    files = {
        "kustomization.yaml": "resources: [map.yaml]\npatches:\n- path: policy.yaml\n",
        "map.yaml": MAP,
        "policy.yaml": POLICY.replace("default: any", "default: all"),
    }
    assert "policy.yaml:4:56 error policy-default" in places(files, ".")


def test_a_patch_that_fits_changes_what_is_judged(places: Places) -> None:
    patch = """\
        resources: [map.yaml, policy.yaml]
        patches:
        - target: {kind: ClusterPolicy}
          patch: |
            - op: replace
              path: /spec/devicePlugin/config/default
              value: all
        """
    files = {"kustomization.yaml": patch, "map.yaml": MAP, "policy.yaml": POLICY}
    assert places(files, ".") == ["kustomization.yaml:7:14 error policy-default"]


def test_a_json_patch_of_a_place_that_is_not_there_is_an_error(places: Places) -> None:
    patch = """\
        resources: [map.yaml, policy.yaml]
        patches:
        - target: {kind: ClusterPolicy}
          patch: |
            - {op: remove, path: /spec/devicePlugin/configs}
        """
    files = {"kustomization.yaml": patch, "map.yaml": MAP, "policy.yaml": POLICY}
    assert places(files, ".") == ["kustomization.yaml:5:26 error patch-path"]


def test_a_target_is_a_pattern(places: Places) -> None:
    patch = "resources: [map.yaml, policy.yaml]\npatches:\n- target: {kind: Cluster.*, name: .*}\n  patch: '[{op: remove, path: /spec}]'\n"
    files = {"kustomization.yaml": patch, "map.yaml": MAP, "policy.yaml": POLICY}
    assert places(files, ".") == []


def test_a_generated_configmap_with_a_hash_is_not_what_the_policy_names(places: Places) -> None:
    files = {
        "kustomization.yaml": "resources: [policy.yaml]\nnamespace: gpu-operator\n"
        "configMapGenerator:\n- name: slicing\n  files: [any=config.yaml]\n",
        "policy.yaml": POLICY,
        "config.yaml": CONFIG,
    }
    assert places(files, ".") == ["policy.yaml:4:38 error policy-renamed-configmap"]


@pytest.mark.parametrize(
    "option",
    [
        "generatorOptions: {disableNameSuffixHash: true}\n",
        "  options: {disableNameSuffixHash: true}\n",
    ],
)
def test_without_the_hash_it_is(places: Places, option: str) -> None:
    files = {
        "kustomization.yaml": "resources: [policy.yaml]\nnamespace: gpu-operator\n"
        f"configMapGenerator:\n- name: slicing\n  files: [any=config.yaml]\n{option}",
        "policy.yaml": POLICY,
        "config.yaml": CONFIG,
    }
    assert places(files, ".") == []


def test_a_generated_config_keeps_the_places_of_its_file(places: Places) -> None:
    files = {
        "kustomization.yaml": "configMapGenerator:\n- name: slicing\n  files: [config.yaml]\n",
        "config.yaml": CONFIG.replace("replicas", "replica"),
    }
    assert "config.yaml:6:7 warning unknown-key" in places(files, ".")


def test_a_generated_file_that_is_not_there_is_an_error(places: Places) -> None:
    text = "configMapGenerator:\n- name: slicing\n  files: [any=config.yaml]\n"
    assert places({"kustomization.yaml": text}, ".") == [
        "kustomization.yaml:3:11 error file-missing"
    ]


def test_literals_are_configs_too(places: Places) -> None:
    text = "configMapGenerator:\n- name: slicing\n  literals:\n  - 'any={sharing: {timeSlicing: {}}}'\n"
    assert "kustomization.yaml:4:5 error no-resources" in places({"kustomization.yaml": text}, ".")


def test_a_prefix_renames_the_configmap_and_not_its_name_in_the_policy(places: Places) -> None:
    files = {
        "kustomization.yaml": "resources: [map.yaml, policy.yaml]\nnamePrefix: team-\n",
        "map.yaml": MAP,
        "policy.yaml": POLICY,
    }
    assert places(files, ".") == ["policy.yaml:4:38 error policy-renamed-configmap"]


def test_the_namespace_of_a_kustomization_is_its_objects(places: Places) -> None:
    files = {
        "kustomization.yaml": "resources: [map.yaml, policy.yaml]\nnamespace: default\n",
        "map.yaml": MAP,
        "policy.yaml": POLICY,
    }
    assert places(files, ".") == ["map.yaml:2:18 error policy-namespace"]


def test_overlays_are_judged_and_not_their_base_alone(places: Places) -> None:
    files = {
        "base/kustomization.yaml": "resources: [map.yaml, policy.yaml]\n",
        "base/map.yaml": MAP.replace(", namespace: gpu-operator", ""),
        "base/policy.yaml": POLICY,
        "over/kustomization.yaml": "resources: [../base]\nnamespace: gpu-operator\n",
    }
    assert places(files, ".") == []


def test_a_cycle_is_an_error_and_no_endless_loop(places: Places) -> None:
    files = {
        "a/kustomization.yaml": "resources: [../b]\n",
        "b/kustomization.yaml": "resources: [../a]\n",
    }
    assert {place.split()[-1] for place in places(files, ".")} == {"kustomize-cycle"}


@pytest.mark.parametrize(
    "address",
    [
        "https://example.com/gpu.yaml",
        "github.com/org/repo//deploy?ref=v1",
        "git@github.com:org/repo.git",
    ],
)
def test_what_is_elsewhere_is_noted(places: Places, address: str) -> None:
    found = places({"kustomization.yaml": f"resources:\n- {address}\n"}, ".")
    assert found == ["kustomization.yaml:2:3 note kustomize-remote"]


def test_a_misspelt_field_is_an_error(places: Places) -> None:
    found = places({"kustomization.yaml": "resorces: [map.yaml]\n", "map.yaml": MAP}, ".")
    assert found == ["kustomization.yaml:1:1 error kustomize-field"]


def test_a_behaviour_of_merge_adds_to_the_base(places: Places) -> None:
    files = {
        "base/kustomization.yaml": "configMapGenerator:\n- name: slicing\n  literals: ['any={}']\n",
        "kustomization.yaml": "resources: [base]\ngeneratorOptions: {disableNameSuffixHash: true}\n"
        "namespace: gpu-operator\n"
        "configMapGenerator:\n- name: slicing\n  behavior: merge\n  literals: ['more={}']\n",
    }
    places(files, ".")
    made = build(Path(), Disk()).manifests
    assert len(made) == 1
    assert made[0].node.get("data") is not None
    assert str(made[0].node).count("key='any'") == 1
    assert str(made[0].node).count("key='more'") == 1


@pytest.mark.parametrize("folder", sorted(p.name for p in DATA.iterdir()))
def test_a_broken_variant_of_the_seed_shows_what_it_is_named_for(
    folder: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    import io

    monkeypatch.chdir(DATA)
    report: Report = check([folder], io.BytesIO())
    wrong = {f.id for f in report.findings if f.level != "note"}
    assert wrong == {folder}


def test_a_component_patches_what_includes_it(places: Places) -> None:
    files = {
        "part/kustomization.yaml": "kind: Component\npatches:\n- path: policy.yaml\n",
        "part/policy.yaml": POLICY.replace("default: any", "default: all"),
        "kustomization.yaml": "resources: [map.yaml, policy.yaml]\ncomponents: [part]\n",
        "map.yaml": MAP,
        "policy.yaml": POLICY,
    }
    assert places(files, ".") == ["part/policy.yaml:4:56 error policy-default"]


def test_folders_that_include_each_other_many_times_come_to_an_end(places: Places) -> None:
    files = {
        f"{number}/kustomization.yaml": f"resources: [../{number + 1}, ../{number + 1}]\n"
        for number in range(30)
    }
    assert {place.split()[-1] for place in places(files, "0")} <= {
        "kustomize-cycle",
        "file-missing",
    }


def test_a_name_that_no_file_can_have_is_a_finding(places: Places) -> None:
    text = "resources: [%s]\n" % ("a" * 5000)
    assert [p.split()[-1] for p in places({"kustomization.yaml": text}, ".")] == ["file-unreadable"]
