"""The rights as manifests, and nothing in them that could be more than is needed."""

from __future__ import annotations

from typing import Any

from rota.cluster.rights import RIGHTS, manifests, table, used


def test_alone_it_needs_one_cluster_role_and_one_role_for_its_configmap() -> None:
    made = manifests("rota", config_name="config")
    assert [(one["kind"], one["metadata"].get("namespace")) for one in made] == [
        ("ClusterRole", None),
        ("ClusterRoleBinding", None),
        ("Role", "rota"),
        ("RoleBinding", "rota"),
    ]
    (rule,) = made[2]["rules"]
    assert rule == {
        "apiGroups": [""],
        "resources": ["configmaps"],
        "verbs": ["list", "watch"],
        "resourceNames": ["config"],
    }
    subject = {"kind": "ServiceAccount", "name": "rota", "namespace": "rota"}
    assert all(one["subjects"] == [subject] for one in (made[1], made[3]))
    assert made[3]["roleRef"]["name"] == made[2]["metadata"]["name"]


def test_beside_nvidias_plugin_it_may_delete_pods_in_that_namespace_only() -> None:
    made = manifests("rota", config_namespace="gpu-operator", plugin_namespace="gpu-operator")
    deleting = [
        one["metadata"].get("namespace")
        for one in made
        for rule in one.get("rules", ())
        if "delete" in rule["verbs"]
    ]
    assert deleting == ["gpu-operator"]
    assert not any("delete" in right.verbs for right in used())


def test_pods_may_be_evicted_only_where_a_config_says_so() -> None:
    def evicts(made: list[dict[str, Any]]) -> list[list[str]]:
        rules = [rule for one in made for rule in one.get("rules", ())]
        return [rule["verbs"] for rule in rules if rule["resources"] == ["pods/eviction"]]

    assert evicts(manifests("rota", evict=True)) == [["create"]]
    assert evicts(manifests("rota")) == []


def test_nothing_is_asked_for_by_a_star_and_no_secret_is_read() -> None:
    assert not any("*" in right.verbs or right.kind.plural == "secrets" for right in RIGHTS)


def test_the_reference_names_every_right() -> None:
    assert all(right.what in table() for right in RIGHTS)
