"""What the pages name is there: rules, metrics, options, files; and their examples check out."""

from __future__ import annotations

import io
import re
from pathlib import Path

import click
import pytest

from rota.cli.main import COMMANDS, app
from rota.config.check import check
from rota.config.check.registry import SECTIONS as CHECKED
from rota.config.findings import Level
from rota.doctor.registry import SECTIONS

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = sorted(DOCS.glob("*.md"))


def test_every_rule_that_troubleshooting_names_is_there() -> None:
    text = (DOCS / "troubleshooting.md").read_text()
    named = {
        rule
        for group in re.findall(r"`rota doctor` \(([^)]*)\)", text)
        for rule in re.findall(r"`([a-z-]+)`", group)
    }
    assert len(named) > 12
    assert named <= SECTIONS.keys() | CHECKED.keys()


def test_every_symptom_has_something_to_type() -> None:
    rows = [r for r in (DOCS / "troubleshooting.md").read_text().splitlines() if r.startswith("| ")]
    symptoms = [r for r in rows if not r.startswith(("| what", "| ---"))]
    assert len(symptoms) > 30
    for row in symptoms:
        last = re.split(r"(?<!\\)\|", row)[-2]
        assert "`" in last or "](" in last, row


def test_examples_of_how_to_share_check_out() -> None:
    report = check([str(DOCS / "how-to-share.md")], io.BytesIO())
    assert not [f for f in report.findings if f.level is not Level.NOTE]


def test_metrics_that_pages_name_are_there() -> None:
    known = set(re.findall(r"`(rota_[a-z_]+)`", (DOCS / "reference" / "metrics.md").read_text()))
    page = (DOCS / "how-to-share.md").read_text()
    named = {n.removesuffix("_bucket") for n in re.findall(r"rota_[a-z_]+(?=[\[ ])", page)}
    assert named
    assert named <= known


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_and_options_that_pages_name_are_there(page: Path) -> None:
    root = click.Context(app)
    for line in page.read_text().splitlines():
        for name, rest in re.findall(r"`(?:kubectl-)?rota ([a-z]+)([^`]*)`", line):
            assert name in COMMANDS, line
            command = app.get_command(root, name)
            assert command
            known = {opt for param in command.params for opt in (*param.opts, "--help")}
            own = rest.partition(" -- ")[0]
            assert set(re.findall(r"(?<= )--[a-z-]+", own)) <= known, line


def anchors(page: Path) -> set[str]:
    """The headings of a page as links name them."""
    heads = re.findall(r"^#+ (.*)$", page.read_text(), re.M)
    plain = (re.sub(r"[^\w\- ]", "", head.lower()) for head in heads)
    return {text.strip().replace(" ", "-") for text in plain}


@pytest.mark.parametrize(
    "page",
    [ROOT / "README.md", *sorted(DOCS.rglob("*.md"))],
    ids=lambda p: str(p.relative_to(ROOT)),
)
def test_links_lead_somewhere(page: Path) -> None:
    text = re.sub(r"^```.*?^```", "", page.read_text(), flags=re.M | re.S)
    for link in re.findall(r"\]\(([^)\s]+)\)", text):
        if link.startswith(("http:", "https:")):
            continue
        name, _, anchor = link.partition("#")
        place = (page.parent / name) if name else page
        assert place.exists(), link
        if anchor and place.suffix == ".md":
            assert anchor in anchors(place), link
