"""A report as people see it."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

from rota.config.check import Report
from rota.config.check.text import shown

Checked = Callable[..., Report]

GOOD = (
    "version: v1\nsharing: {timeSlicing: {resources: [{name: gpu, replicas: 4}]}}\n"
    "rota: {memory: {limit: share}}\n"
)


def plain(report: Report, *, strict: bool = False) -> list[str]:
    lines = shown(report, strict=strict)
    return ["".join(text for text, _ in line) for line in lines]


def test_a_finding_is_a_compilers_line_with_the_word_and_the_way_out(checked: Checked) -> None:
    report = checked({"c.yaml": "version: v1\nshoring: {}\n"})
    lines = plain(report)
    head = next(n for n, line in enumerate(lines) if "warning:" in line)
    assert lines[head : head + 4] == [
        f"c.yaml:2:1: warning: {report.findings[-1].message} [unknown-key]",
        "    2 | shoring: {}",
        "      | ^^^^^^^",
        f"      = {report.findings[-1].hint}",
    ]


def test_a_clean_result_says_what_was_understood(checked: Checked) -> None:
    assert plain(checked({"c.yaml": GOOD})) == [
        "✓ nvidia.com/gpu × 4 per GPU, from c.yaml",
        "1 file read, nothing to object to.",
    ]


def test_the_last_lines_count_and_point_at_the_gravest(checked: Checked) -> None:
    report = checked({"c.yaml": "version: v2\nshoring: {}\n"})
    assert plain(report)[-2:] == [
        "1 error, 1 warning in 1 file.",
        "More about one: rota check --explain unknown-version",
    ]


def test_nothing_is_praised_where_strictness_fails(checked: Checked) -> None:
    report = checked({"c.yaml": GOOD + "shoring: {}\n"})
    assert any(line.startswith("→") for line in plain(report))
    assert not any(line.startswith(("→", "✓")) for line in plain(report, strict=True))


def test_only_what_has_no_warning_gets_a_tick(checked: Checked) -> None:
    misplaced = "version: v1\nflags: {sharing: {}}\n"
    assert not any(line.startswith("✓") for line in plain(checked({"c.yaml": misplaced})))
    assert any(line.startswith("✓") for line in plain(checked({"d.yaml": GOOD})))


def test_a_long_line_is_cut_around_the_word(checked: Checked) -> None:
    report = checked({"c.yaml": "{version: v1, " + " " * 200 + "shoring: 1}\n"})
    lines = plain(report)
    row, under = [(a, b) for a, b in pairwise(lines) if "^" in b][-1]
    assert row[under.index("^") :].startswith("shoring")
    assert len(row) <= 80


def test_control_characters_of_a_file_do_not_reach_the_terminal(checked: Checked) -> None:
    report = checked({"c.yaml": 'version: v1\n"shor\x85\x9bing": 1\n'})
    assert not any(char in line for line in plain(report) for char in "\x85\x9b\x1b")


def test_pods_are_part_of_what_was_understood(checked: Checked) -> None:
    pod = "{containers: [{name: c, resources: {limits: {nvidia.com/gpu: 1}}}]}"
    text = f"kind: Deployment\nmetadata: {{name: d}}\nspec: {{replicas: 4, template: {{spec: {pod}}}}}\n"
    report = checked({"d.yaml": text})
    assert plain(report)[0] == "✓ 4 pods of Deployment d ask for 1 nvidia.com/gpu each"


def test_a_set_up_without_gpus_is_said_to_be_one(checked: Checked) -> None:
    report = checked({"s.yaml": "kind: Service\nmetadata: {name: s}\n"})
    assert plain(report)[0] == "✓ Nothing here shares a GPU or asks for one."
