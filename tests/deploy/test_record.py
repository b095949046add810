"""What apply remembers of an object on the object itself."""

from __future__ import annotations

import pytest

from rota.deploy.record import APPLIED, BEFORE, TooMuch, before_of, project, to_apply, to_restore

WANTED = {
    "apiVersion": "v1",
    "kind": "ConfigMap",
    "metadata": {"name": "c", "namespace": "n", "labels": {"a": "1"}},
    "data": {"any": "new"},
}


def live(**data: str) -> dict[str, object]:
    meta = {"name": "c", "namespace": "n", "labels": {"a": "0", "b": "2"}, "resourceVersion": "7"}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": data}


def test_what_was_not_there_has_no_memory() -> None:
    body = to_apply(WANTED, None, "standalone")
    assert body["metadata"]["labels"] == {"a": "1", APPLIED: "standalone"}
    assert before_of(body) is None


def test_what_was_there_is_remembered_as_far_as_it_is_changed() -> None:
    body = to_apply(WANTED, live(any="old", other="x"), "standalone")
    assert before_of(body) == {"data": {"any": "old"}, "metadata": {"labels": {"a": "0"}}}
    assert body["metadata"]["resourceVersion"] == "7"
    restored = to_restore(body, before_of(body) or {})
    assert restored["data"] == {"any": "old"}
    assert restored["metadata"] == {"name": "c", "namespace": "n", "labels": {"a": "0"}}


def test_a_memory_is_kept_by_every_further_apply() -> None:
    first = to_apply(WANTED, live(any="old"), "standalone")
    again = to_apply(WANTED, {**first, "data": {"any": "edited by hand"}}, "standalone")
    assert again["metadata"]["annotations"][BEFORE] == first["metadata"]["annotations"][BEFORE]


def test_what_an_object_did_not_say_is_left_out() -> None:
    wanted = {"kind": "X", "spec": {"plugin": {"config": {"name": "c"}}}}
    assert project({"spec": {"plugin": {"enabled": True}}}, wanted) == {}
    assert project({"spec": {"plugin": {"config": {"name": "o", "more": 1}}}}, wanted) == {
        "spec": {"plugin": {"config": {"name": "o"}}}
    }


def test_what_is_too_long_to_be_remembered_is_not_touched() -> None:
    with pytest.raises(TooMuch, match="too long") as told:
        to_apply(WANTED, live(any="x" * 300_000), "standalone")
    assert told.value.where == "ConfigMap n/c"
