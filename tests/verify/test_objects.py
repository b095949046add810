"""What a proof makes fits the strictest Pod Security standard, and its node alone."""

from __future__ import annotations

from rota.cluster.gpus import GpuNode
from rota.verify.objects import BY, RUN, US, Wish, deployment, one_more

TAINTS = (
    {"key": "nvidia.com/gpu", "effect": "NoSchedule"},
    {"key": "node.kubernetes.io/unreachable", "effect": "NoExecute"},
)
NODE = GpuNode("gpu-1", taints=TAINTS)
WISH = Wish("lab", "registry/rota:1", "abcde", "host/1", 99, "nvidia")


def test_a_deployment_of_as_many_pods_as_are_free() -> None:
    made = deployment("rota-verify-abcde-0", NODE, "nvidia.com/gpu", 3, WISH)
    assert made["spec"]["replicas"] == 3
    assert made["metadata"]["namespace"] == "lab"
    template = made["spec"]["template"]
    assert template["metadata"]["labels"].items() >= {BY: US, RUN: "abcde"}.items()
    assert made["spec"]["selector"]["matchLabels"] == template["metadata"]["labels"]
    spec = template["spec"]
    (container,) = spec["containers"]
    assert container["resources"]["limits"]["nvidia.com/gpu"] == "1"
    security = container["securityContext"]
    assert security["runAsNonRoot"]
    assert not security["allowPrivilegeEscalation"]
    assert security["capabilities"] == {"drop": ["ALL"]}
    assert security["seccompProfile"] == {"type": "RuntimeDefault"}
    assert spec["runtimeClassName"] == "nvidia"


def test_it_tolerates_what_the_node_wants_tolerated_and_not_that_it_is_ill() -> None:
    spec = deployment("d", NODE, "nvidia.com/gpu", 1, WISH)["spec"]["template"]["spec"]
    assert spec["tolerations"] == [
        {"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}
    ]
    assert "gpu-1" in str(spec["affinity"])


def test_the_one_more_goes_with_the_deployment() -> None:
    made = one_more("d", NODE, "nvidia.com/gpu", WISH, {"uid": "u"})
    assert made["metadata"]["ownerReferences"][0]["uid"] == "u"
    assert made["metadata"]["name"] == "d-one-more"
    assert "ownerReferences" not in one_more("d", NODE, "nvidia.com/gpu", WISH, None)["metadata"]
