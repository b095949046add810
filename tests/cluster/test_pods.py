"""What is kept of a node's pods, and when somebody hears of it."""

from __future__ import annotations

from typing import Any, Literal

from rota.cluster.door import Change
from rota.cluster.events import Ref
from rota.cluster.pods import Pods
from tests.cluster.conftest import pod


class Told:
    """Counts what was told."""

    def __init__(self) -> None:
        self.changes = 0
        self.bad: list[tuple[Ref, str]] = []
        self.pods = Pods(self.count, lambda ref, what: self.bad.append((ref, what)))

    def count(self) -> None:
        self.changes += 1


def change(what: Literal["ADDED", "MODIFIED", "DELETED"], thing: dict[str, Any]) -> Change:
    return Change(what, thing)


def dying(thing: dict[str, Any]) -> dict[str, Any]:
    return {**thing, "metadata": {**thing["metadata"], "deletionTimestamp": "2026-01-01"}}


def test_a_pod_without_a_wish_is_news_to_nobody() -> None:
    told = Told()
    told.pods.changed(change("ADDED", pod("a")))
    told.pods.changed(change("MODIFIED", pod("a")))
    told.pods.changed(change("DELETED", pod("a")))
    assert told.changes == 0
    assert len(told.pods) == 0


def test_a_wish_and_a_deletion_are_told_once_each() -> None:
    told = Told()
    told.pods.changed(change("ADDED", pod("a", weight="2")))
    told.pods.changed(change("MODIFIED", pod("a", weight="2")))
    assert told.changes == 1
    told.pods.changed(change("MODIFIED", dying(pod("a", weight="2"))))
    known = told.pods.of("default", "a")
    assert known
    assert known.ending
    assert known.wish.weight == 2
    assert told.changes == 2


def test_a_bad_value_is_told_once_and_again_when_it_changes() -> None:
    told = Told()
    for value in ("x", "x", "y"):
        told.pods.changed(change("MODIFIED", pod("a", weight=value)))
    assert [ref.name for ref, _ in told.bad] == ["a", "a"]
    assert "'y'" in told.bad[1][1]
    assert told.changes == 0


def test_a_list_replaces_everything_and_repeats_nothing() -> None:
    told = Told()
    told.pods.replaced([pod("a", weight="2"), pod("b", weight="bad")])
    told.pods.replaced([pod("a", weight="2"), pod("b", weight="bad")])
    assert (told.changes, len(told.bad)) == (1, 1)
    told.pods.replaced([pod("b", weight="bad")])
    assert told.changes == 2
    assert told.pods.of("default", "a") is None


def test_a_pod_of_the_same_name_begins_anew() -> None:
    told = Told()
    for uid in ("1", "2"):
        thing = pod("a", weight="bad")
        thing["metadata"]["uid"] = uid
        told.pods.changed(change("MODIFIED", thing))
    assert [ref.uid for ref, _ in told.bad] == ["1", "2"]
    assert told.pods.ref("default", "a").uid == "2"
    assert told.pods.ref("default", "nobody") == Ref("Pod", "nobody", "default")


def test_nvidias_plugin_is_known_by_its_labels() -> None:
    pods = Pods(lambda: None, lambda *_: None, lambda space, labels: labels.get("app") == "plugin")
    thing = pod("a")
    thing["metadata"]["labels"] = {"app": "plugin"}
    pods.replaced([thing, pod("b")])
    assert set(pods.plugins) == {("default", "a")}
