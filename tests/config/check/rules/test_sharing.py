"""Memory, and shares that are too small."""

from __future__ import annotations

from collections.abc import Callable

from rota.config.check import Report

Checked = Callable[..., Report]
Make = Callable[..., str]


def said(report: Report) -> list[str]:
    return [f"{f.mark} {f.level} {f.id}" for f in report.findings]


def test_a_file_that_says_nothing_of_memory_limits_it(checked: Checked, config: Make) -> None:
    assert said(checked({"c.yaml": config()})) == []


def test_without_turns_no_limit_is_held(checked: Checked, config: Make) -> None:
    report = checked({"c.yaml": config(rest="rota: {turns: {mode: driver}}")})
    assert said(report) == ["c.yaml:7:22 note memory-unlimited"]
    assert "4 replicas share" in report.findings[0].message


def test_one_that_limits_it_is_well(checked: Checked, config: Make) -> None:
    assert said(checked({"c.yaml": config(rest="rota: {memory: {limit: share}}")})) == []


def test_a_limit_given_up_is_a_warning(checked: Checked, config: Make) -> None:
    for memory in ("limit: none", "enforce: report"):
        report = checked({"c.yaml": config(rest=f"rota: {{memory: {{{memory}}}}}")})
        assert said(report) == ["c.yaml:7:16 warning memory-unlimited"]


def test_where_nothing_is_shared_nobody_needs_a_limit(checked: Checked) -> None:
    assert said(checked({"c.yaml": "version: v1\n"})) == ["c.yaml:1:1 note nothing-shared"]


def test_a_thousand_replicas_are_a_warning(checked: Checked, config: Make) -> None:
    report = checked({"c.yaml": config().replace("replicas: 4", "replicas: 1024")})
    assert "c.yaml:6:17 warning replicas-many" in said(report)


def test_64_are_not(checked: Checked, config: Make) -> None:
    report = checked({"c.yaml": config().replace("replicas: 4", "replicas: 64")})
    assert said(report) == []
