"""`rota check` as it is typed."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from rota.cli.check import command
from rota.cli.main import main

EXAMPLE = str(Path(__file__).parents[2] / "examples" / "01-seed")
WRONG = "version: v2\n"
WARNS = "version: v1\nshoring: {}\n"


def run(*args: str, text: str | None = None) -> Result:
    return CliRunner().invoke(command, args, input=text, standalone_mode=False)


def exit_code(capsys: pytest.CaptureFixture[str], *args: str) -> tuple[int, str]:
    """The exit code of the whole command line, and all that it says."""
    with pytest.raises(SystemExit) as end:
        main(["check", *args])
    said = capsys.readouterr()
    return int(end.value.code or 0), said.err + said.out


def test_a_set_up_that_is_well_exits_with_0() -> None:
    result = run(EXAMPLE)
    assert result.return_value == 0
    assert "nvidia.com/gpu × 4 per GPU" in result.output


def test_an_error_exits_with_1() -> None:
    assert run("-", text=WRONG).return_value == 1


def test_a_warning_exits_with_0_and_strictly_with_1() -> None:
    assert run("-", text=WARNS).return_value == 0
    assert run("-", "--strict", text=WARNS).return_value == 1


def test_a_note_never_counts() -> None:
    assert run("-", "--strict", text="").return_value == 0


def test_nothing_to_read_exits_with_2(capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_code(capsys, "nope.yaml")[0] == 2
    assert exit_code(capsys)[0] == 2


def test_wrong_usage_exits_with_2(capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_code(capsys, "--no-such-option", EXAMPLE)[0] == 2
    assert exit_code(capsys, "-o", "xml", EXAMPLE)[0] == 2


def test_json_is_one_document_with_exactly_the_agreed_keys() -> None:
    document = json.loads(run("-", "-o", "json", text=WRONG).output)
    assert document == {
        "findings": [
            {
                "id": "unknown-version",
                "level": "error",
                "file": "<stdin>",
                "line": 1,
                "column": 10,
                "message": document["findings"][0]["message"],
                "hint": "write `version: v1`",
            }
        ]
    }


def test_json_of_what_is_well_has_no_findings() -> None:
    text = "kind: Service\nmetadata: {name: s}\n"
    assert json.loads(run("-", "-o", "json", text=text).output) == {"findings": []}


def test_explain_prints_a_section() -> None:
    result = run("--explain", "policy-default")
    assert result.return_value == 0
    assert result.output.startswith("policy-default (error)\n")
    assert "Right:" in result.output


@pytest.mark.parametrize(("args", "ends"), [(["--explain", "no-such-rule"], 2), (["--explain"], 0)])
def test_explain_of_an_unknown_id_or_of_none_lists_them(
    args: list[str], ends: int, capsys: pytest.CaptureFixture[str]
) -> None:
    code, said = exit_code(capsys, *args)
    assert code == ends
    assert "policy-default" in said
    assert "memory-unlimited" in said


def test_what_is_piped_has_no_colours() -> None:
    assert "\x1b" not in run("-", text=WRONG).output


def test_a_terminal_of_80_columns_gets_colours_and_whole_words(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "c.yaml").write_text(WARNS)
    monkeypatch.chdir(tmp_path)
    for name, value in (("COLUMNS", "80"), ("TERM", "xterm-256color"), ("FORCE_COLOR", "1")):
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    command.main(["c.yaml"], standalone_mode=False)
    out = capsys.readouterr().out
    assert "\x1b[1;33mwarning" in out
