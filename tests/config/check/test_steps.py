"""What kubectl is asked to do."""

from __future__ import annotations

import shlex

import pytest

from rota.config.check.shell import Command
from rota.config.check.steps import Call, call
from rota.config.findings import Mark


def asked(text: str) -> Call | None:
    return call(Command(tuple(shlex.split(text)), Mark("s", 1, 1)))


@pytest.mark.parametrize(
    ("text", "verb", "objects", "namespace"),
    [
        ("kubectl delete configmap a -n b", "delete", [("configmap", "a")], "b"),
        ("kubectl delete cm/a --namespace=b", "delete", [("configmap", "a")], "b"),
        ("kubectl -nb delete cm a c", "delete", [("configmap", "a"), ("configmap", "c")], "b"),
        ("oc delete cm a", "delete", [("configmap", "a")], ""),
        ("sudo kubectl delete cm $NAME -n b", "delete", [("configmap", "")], "b"),
        ("KUBECONFIG=x kubectl delete cm <name>", "delete", [("configmap", "")], ""),
        ("kubectl rollout restart daemonset/a -n b", "rollout restart", [("daemonset", "a")], "b"),
        ("kubectl create cm a --from-literal=k=v", "create configmap", [("configmap", "a")], ""),
        ("kubectl patch clusterpolicies.nvidia.com/a -p x", "patch", [("clusterpolicy", "a")], ""),
        ("kubectl apply -f x.yaml", "apply", [], ""),
        ("kubectl exec a -- kubectl delete cm b", "exec", [], ""),
    ],
)
def test_a_call(text: str, verb: str, objects: list[tuple[str, str]], namespace: str) -> None:
    made = asked(text)
    assert made is not None
    assert (made.verb, made.objects, made.flag("--namespace")) == (verb, objects, namespace)


def test_labels_are_no_objects() -> None:
    made = asked("kubectl label node n1 a/b=c --overwrite")
    assert made is not None
    assert made.objects == [("node", "n1")]
    assert made.rest == ["a/b=c"]


@pytest.mark.parametrize("text", ["ls -l", "kubectl", "kubectl --help", "A=b", "echo kubectl"])
def test_what_is_no_call(text: str) -> None:
    assert asked(text) is None
