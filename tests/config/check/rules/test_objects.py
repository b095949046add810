"""Kinds that nobody told us of."""

from __future__ import annotations

from collections.abc import Callable

from rota.config.check import Report

Places = Callable[..., list[str]]


def test_an_unknown_kind_is_noted_once(places: Places) -> None:
    text = "kind: Widget\nmetadata: {name: a}\n---\nkind: Widget\nmetadata: {name: b}\n"
    assert places({"w.yaml": text}) == ["w.yaml:1:7 note kind-unknown"]


def test_a_misspelt_kind_gets_the_right_one_as_a_hint(checked: Callable[..., Report]) -> None:
    report = checked({"d.yaml": "kind: Deploymnet\nmetadata: {name: a}\n"})
    assert report.findings[0].hint == "did you mean `Deployment`?"


def test_containers_in_an_unknown_kind_are_read(places: Places) -> None:
    spec = "{containers: [{name: c, resources: {requests: {nvidia.com/gpu: 1}}}]}"
    found = places({"j.yaml": f"kind: PyTorchJob\nspec: {{workers: [{{template: {spec}}}]}}\n"})
    assert [p.split()[-1] for p in found] == ["kind-unknown", "request-without-limit"]


def test_kinds_of_every_day_are_passed_over(places: Places) -> None:
    assert places({"s.yaml": "kind: Service\nmetadata: {name: s}\n"}) == []
