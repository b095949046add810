"""docs/reference/doctor.md is what the rules say of themselves."""

from __future__ import annotations

import re
from pathlib import Path

from rota.doctor import rules, sections
from rota.doctor.registry import SECTIONS, explain, reference, why

ROOT = Path(__file__).parents[2]


def test_the_reference_is_in_step() -> None:
    page = ROOT / "docs" / "reference" / "doctor.md"
    assert page.read_text() == reference(), "make it anew: python -m rota.doctor > " + str(page)


def test_every_finding_has_a_section_and_every_section_a_finding() -> None:
    folder = Path(rules.__file__).parent
    text = "".join(path.read_text() for path in folder.glob("*.py"))
    assert set(re.findall(r'found\(\s*"([a-z-]+)"', text)) == SECTIONS.keys()
    assert len(sections.ALL) == len(SECTIONS)


def test_a_rule_of_rota_check_is_explained_too() -> None:
    assert why("quota-prefix")
    assert "quota-prefix" in (explain("quota-prefix") or "")
    assert explain("nonsense") is None


def test_why_is_one_sentence() -> None:
    for id_ in SECTIONS:
        assert why(id_)
        assert len(why(id_)) < 160, id_
