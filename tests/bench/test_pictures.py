"""The pictures of docs/how-it-works.md are what the script draws of the recorded turns."""

from __future__ import annotations

import importlib.util
import json
import xml.etree.ElementTree as ET
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "docs" / "pictures"


def pictures() -> dict[str, Callable[[Any], str]]:
    """Of `bench/drawings.py`, which is no part of the package."""
    spec = importlib.util.spec_from_file_location("drawings", ROOT / "bench" / "drawings.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return dict(module.PICTURES)


PICTURES = pictures()


@pytest.mark.parametrize("name", list(PICTURES))
def test_a_picture_is_in_step_with_its_log(name: str) -> None:
    document = json.loads((FOLDER / "turns.json").read_text())
    drawn = PICTURES[name](document)
    assert (FOLDER / f"{name}.svg").read_text() == drawn, "again: python bench/pictures.py draw"
    assert ET.fromstring(drawn).tag.endswith("svg")


def test_what_is_emulated_says_so() -> None:
    document = json.loads((FOLDER / "turns.json").read_text())
    for name in set(PICTURES) - {"how-node"}:
        assert ("emulated" in PICTURES[name](document)) == document["emulated"]
