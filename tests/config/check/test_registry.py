"""Every rule has a section, and the reference is made of them."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

import rota
from rota.config.check.registry import SECTIONS, explain, found, reference
from rota.config.findings import Level, Mark

PACKAGE = Path(rota.__file__).parent
REFERENCE = Path(__file__).parents[3] / "docs" / "reference" / "check.md"
MAKERS = {"found", "Finding"}
REPORTERS = {"error", "warning", "note", "say", "_single"}
ID = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")


@cache
def emitted() -> set[str]:
    """Every id that some code of the package can give to a finding."""
    ids: set[str] = set()
    for file in PACKAGE.rglob("*.py"):
        if file.stem.endswith(("_pb2", "_pb2_grpc")) or (PACKAGE / "doctor") in file.parents:
            continue  # the doctor's rules have sections of their own
        reports = (PACKAGE / "config") in file.parents
        speakers = MAKERS | (REPORTERS if reports else set())
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and node.args:
                name = getattr(node.func, "attr", getattr(node.func, "id", ""))
                ids.update(_words(node.args[0]) if name in speakers else ())
            elif isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "RULE":
                ids.update(_words(node.value))
    return ids


def _words(node: ast.expr) -> set[str]:
    """The string constants that an id can be, whichever way a condition goes."""
    parts = [node.body, node.orelse] if isinstance(node, ast.IfExp) else [node]
    texts = {p.value for p in parts if isinstance(p, ast.Constant) and isinstance(p.value, str)}
    return {text for text in texts if ID.fullmatch(text)}


def test_the_search_for_ids_sees_those_of_every_part() -> None:
    assert {
        "policy-default",
        "unknown-key",
        "wrong-type",
        "too-large",
        "flag-overruled",
    } <= emitted()


def test_every_id_that_code_can_emit_has_a_section() -> None:
    assert emitted() - set(SECTIONS) == set()


def test_every_section_is_of_an_id_that_code_can_emit() -> None:
    assert set(SECTIONS) - emitted() == set()


def test_the_reference_is_what_the_sections_say() -> None:
    again = "make it anew: python -m rota.config.check > docs/reference/check.md"
    assert REFERENCE.read_text(encoding="utf-8") == reference(), again


@pytest.mark.parametrize("rule", list(SECTIONS))
def test_a_section_says_what_why_and_both_examples(rule: str) -> None:
    section = SECTIONS[rule]
    text = explain(rule) or ""
    assert text.startswith(f"{rule} ({section.level})\n{section.title}.")
    assert section.why.strip()
    assert section.wrong.strip()
    assert section.right.strip()
    assert section.wrong != section.right
    assert not section.title.endswith(".")


def test_nothing_explains_a_rule_that_does_not_exist() -> None:
    assert explain("no-such-rule") is None


def test_a_finding_has_the_level_of_its_section_unless_it_is_milder() -> None:
    assert found("policy-default", Mark(), "x").level is Level.ERROR
    assert found("policy-default", Mark(), "x", level=Level.NOTE).level is Level.NOTE


def test_a_finding_without_a_section_cannot_be_made() -> None:
    with pytest.raises(KeyError):
        found("no-such-rule", Mark(), "x")
