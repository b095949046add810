import json
import sys
from dataclasses import replace
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from rota.bench.document import NOTE, Document, describe_machine, keep, read
from rota.bench.page import put, section
from rota.bench.plots import draw
from rota.bench.screen import show
from rota.bench.slots import Program, Slot
from rota.errors import RotaError, UsageError


@pytest.fixture
def document() -> Document:
    trainer = Program("trainer", 1, 0.9)
    slots = [
        Slot("solo", "driver", 0, 1, (trainer,)),
        Slot("two", "overlapped", 0, 1, (replace(trainer, rate=0.45),) * 2),
        Slot("two", "disjoint", 0, error="it went away"),
    ]
    machine = describe_machine("NVIDIA H200", "580.1")
    options = {"rounds": 1, "quantum": 0.1, "quick": True, "workload": "emulated"}
    return Document(machine, options, True, {"mps": "the GPU is emulated"}, slots)


def test_what_is_kept_is_what_is_read(document: Document, tmp_path: Path) -> None:
    keep(document, tmp_path / "a.json")
    assert read(tmp_path / "a.json") == document
    assert [path.name for path in tmp_path.iterdir()] == ["a.json"]


def test_what_is_no_document_is_refused_by_name(tmp_path: Path) -> None:
    for text in ("", "[]", "{}"):
        (tmp_path / "b.json").write_text(text)
        with pytest.raises(RotaError, match=r"b\.json"):
            read(tmp_path / "b.json")
    with pytest.raises(RotaError, match="cannot be read"):
        read(tmp_path / "none.json")


def test_emulated_figures_say_so_on_screen_in_the_json_and_on_the_page(document: Document) -> None:
    said = StringIO()
    show(document, Console(file=said, width=200))
    assert "EMULATED" in said.getvalue()
    assert json.loads(json.dumps(document.to_json()))["note"] == NOTE
    assert NOTE in section(document, "x.json")
    real = replace(document, emulated=False)
    assert "EMULATED" not in section(real, "x.json")
    assert "note" not in real.to_json()


def test_what_was_not_measured_and_what_failed_is_said(document: Document) -> None:
    said = StringIO()
    show(document, Console(file=said, width=200))
    for text in (said.getvalue(), section(document, "x.json")):
        assert "mps" in text
        assert "the GPU is emulated" in text
        assert "it went away" in text


def test_the_section_replaces_its_old_self_and_nothing_else(document: Document) -> None:
    made = section(document, "x.json")
    page = put("# Results\n\nBefore.\n", made)
    page += "\n## After\n"
    again = put(page, made.replace("x.json", "y.json"))
    assert again == page.replace("x.json", "y.json")
    assert put("", made).startswith("# Results\n\n<!-- turns")


def test_without_matplotlib_plots_say_what_to_install(
    document: Document, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(UsageError, match="make plots"):
        draw(document, tmp_path)
