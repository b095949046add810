"""Configs in ConfigMaps: which keys are configs, and where a finding in one stands."""

from __future__ import annotations

from collections.abc import Callable

import pytest

Places = Callable[..., list[str]]


def config_map(*lines: str) -> str:
    head = ["kind: ConfigMap", "metadata: {name: m, namespace: gpu-operator}", "data:"]
    return "\n".join([*head, *lines]) + "\n"


@pytest.mark.parametrize("header", ["|", "|-", "|+", "| # why"])
def test_a_finding_in_a_literal_stands_at_its_place_in_the_outer_file(
    places: Places, header: str
) -> None:
    text = config_map(
        f"  any: {header}", "    version: v1", "    sharing:", "        timeslicng: {}"
    )
    assert places({"m.yaml": text}) == [
        "m.yaml:5:5 note nothing-shared",
        "m.yaml:7:9 warning unknown-key",
    ]


def test_blank_lines_and_an_indent_of_its_own_change_no_place(places: Places) -> None:
    text = config_map("  any: |2", "", "      version: v1", "      shoring: 1")
    assert "m.yaml:7:7 warning unknown-key" in places({"m.yaml": text})


def test_a_syntax_error_in_a_literal_has_its_place_too(places: Places) -> None:
    text = config_map("  any: |", "    version: v1", "    sharing: [")
    found = places({"m.yaml": text}, "m.yaml")
    assert [place.split()[-1] for place in found] == ["syntax"]
    assert found[0].startswith("m.yaml:")
    assert int(found[0].split(":")[1]) in (6, 7)


def test_in_a_string_without_lines_all_stands_where_the_string_does(places: Places) -> None:
    text = config_map('  any: "version: v1\\nsharing:\\n  timeSlicing: {}\\n"')
    assert places({"m.yaml": text}) == ["m.yaml:4:8 error no-resources"]


def test_a_list_item_of_a_list_keeps_its_places(places: Places) -> None:
    text = (
        "kind: List\nitems:\n- kind: ConfigMap\n  metadata: {name: m}\n  data:\n    any: |\n"
        "      version: v2\n"
    )
    assert places({"m.yaml": text}) == ["m.yaml:7:16 error unknown-version"]


def test_a_value_that_is_not_text_is_an_error(places: Places) -> None:
    text = config_map("  any:", "    version: v1", "    sharing: {}")
    assert places({"m.yaml": text}) == ["m.yaml:5:5 error configmap-value"]


def test_configmaps_of_others_are_left_alone(places: Places) -> None:
    text = config_map("  grafana.ini: |", "    [server]", "    root_url = %(x)s: [")
    assert places({"m.yaml": text}) == []


def test_where_one_key_is_a_config_all_are(places: Places) -> None:
    text = config_map("  a: |", "    version: v1", "    sharing: {}", "  b: |", "    version: v3")
    assert "m.yaml:8:14 error unknown-version" in places({"m.yaml": text})


def test_a_policy_makes_the_keys_of_its_configmap_configs(places: Places) -> None:
    text = config_map("  any: |", "    shoring: 1")
    policy = "kind: ClusterPolicy\nspec: {devicePlugin: {config: {name: m, default: any}}}\n"
    assert places({"m.yaml": text}) == []
    assert "m.yaml:5:5 warning unknown-key" in places({"m.yaml": text, "p.yaml": policy})


def test_a_bare_config_may_have_a_broken_second_document(places: Places) -> None:
    text = (
        "version: v1\nsharing: {timeSlicing: {resources: [{name: gpu, replicas: 2}]}}\n---\na: [\n"
    )
    found = places({"c.yaml": text})
    assert not [place for place in found if "error" in place]
    assert "second-document" in found[0]


@pytest.mark.parametrize("text", ["", "\n", "# nothing\n", "---\n", "{}", "null"])
def test_what_says_nothing_is_a_config_without_errors(places: Places, text: str) -> None:
    assert not [place for place in places({"c.yaml": text}) if "note" not in place]


@pytest.mark.parametrize("text", ["[1, 2]", "word", "1", "- a\n- b\n"])
def test_what_is_no_map_is_an_error(places: Places, text: str) -> None:
    assert [p.split()[-1] for p in places({"c.yaml": text}) if "error" in p] == ["wrong-type"]
