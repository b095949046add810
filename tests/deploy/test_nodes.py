"""Whether a node serves what was applied, and if not, why."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from rota.cluster.chosen import LABEL, fingerprint
from rota.config.load import load_text
from rota.deploy.nodes import Seen, Wanted, judge
from rota.deploy.rollout import node_of
from tests.deploy.world import sharing

GPU = "nvidia.com/gpu"
TEXT = sharing(4)
WHERE = "gpus/config"
NOON = datetime(2026, 11, 25, 12, tzinfo=UTC)


def wanted(text: str = TEXT, *, beside: bool = False) -> Wanted:
    return Wanted(WHERE, {"any": text}, "any", {"any": load_text(text, "c").config}, beside, NOON)


def node(gpus: int = 4, text: str = TEXT, key: str = "any") -> dict[str, Any]:
    given = {"rota.dev/config": fingerprint(text), f"{GPU}.count": "1"}
    given |= {} if key == "any" else {LABEL: key}
    return {
        "metadata": {"name": "n", "labels": given},
        "status": {"allocatable": {"cpu": "8", "memory": "64Gi", GPU: str(gpus)}},
    }


def pod(*waiting: str, ready: bool = True) -> dict[str, Any]:
    states = [
        {"name": "agent", "state": {"waiting": {"reason": reason, "message": "why"}}}
        for reason in waiting
    ]
    conditions = [{"type": "Ready", "status": "True" if ready and not waiting else "False"}]
    return {
        "metadata": {"name": "rota-x", "namespace": "gpus"},
        "status": {"conditions": conditions, "containerStatuses": states},
    }


def refusal(what: str, at: str = "2026-11-25T12:00:01Z") -> dict[str, Any]:
    return {"message": what, "lastTimestamp": at}


def test_a_node_that_advertises_what_its_config_makes_of_it_serves_it() -> None:
    assert judge(Seen(node(), pod()), wanted()).stage == "ok"
    late = judge(Seen(node(1), pod()), wanted())
    assert (late.stage, late.what) == ("wait", "nvidia.com/gpu: 1, not 4 yet")


@pytest.mark.parametrize(
    ("seen", "stage", "word"),
    [
        (Seen(None, pod()), "wait", "the node is not there"),
        (Seen(node(), None), "wait", "no pod of Rota yet"),
        (Seen(node(), pod(ready=False)), "wait", "gpus/rota-x is starting"),
        (Seen(node(), pod("ContainerCreating")), "wait", "is starting"),
        (Seen(node(), pod("CrashLoopBackOff")), "bad", "CrashLoopBackOff: why"),
        (Seen(node(text="other"), pod()), "wait", "has not read the config yet"),
        (Seen(node(text="other"), pod(), None, [refusal(f"ConfigMap {WHERE}[any]: no")]), "bad",
         f"refused: ConfigMap {WHERE}[any]: no"),
        (Seen(node(text="other"), pod(), None, [refusal("ConfigMap a/b[any]: no")]), "wait",
         "has not read"),
        (Seen(node(text="other"), pod(), None,
              [refusal(f"ConfigMap {WHERE}[any]: no", "2026-11-25T11:00:00Z")]), "wait",
         "has not read"),
        (Seen(node(key="x"), pod()), "bad", "key `x`"),
    ],
)  # fmt: skip
def test_why_a_node_does_not(seen: Seen, stage: str, word: str) -> None:
    state = judge(seen, wanted())
    assert state.stage == stage
    assert word in state.what


def test_what_to_type_is_said_where_something_can_be_done() -> None:
    assert "--image" in judge(Seen(node(), pod("ErrImagePull")), wanted()).hint
    crash = judge(Seen(node(), pod("CrashLoopBackOff")), wanted())
    assert crash.hint == "kubectl logs -n gpus rota-x -c agent --previous"


def test_nvidias_plugin_that_started_before_the_edit_has_not_read_it() -> None:
    started = {"state": {"running": {"startedAt": "2026-11-25T11:59:00Z"}}}
    plugin = {
        "metadata": {"name": "plugin-y", "namespace": "gpus"},
        "status": {"containerStatuses": [started]},
    }
    state = judge(Seen(node(1), pod(), plugin), wanted(beside=True))
    assert "kubectl delete pod -n gpus plugin-y" in state.hint
    started["state"]["running"]["startedAt"] = "2026-11-25T12:00:05Z"
    assert judge(Seen(node(1), pod(), plugin), wanted(beside=True)).hint == ""
    assert "no pod of NVIDIA's" in judge(Seen(node(1), pod()), wanted(beside=True)).hint


def test_a_pod_that_no_node_has_taken_yet_is_meant_for_one() -> None:
    field = {"key": "metadata.name", "operator": "In", "values": ["n"]}
    term = {"nodeSelectorTerms": [{"matchFields": [field]}]}
    affinity = {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": term}}
    assert node_of({"spec": {"affinity": affinity}}) == "n"
    assert node_of({"spec": {"nodeName": "m", "affinity": affinity}}) == "m"
    assert node_of({"spec": {}}) == ""
