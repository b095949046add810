"""docs/reference/cli.md is what the commands say of themselves."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from rota.cli.main import COMMANDS, app

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "cli.md"


def page() -> str:
    """The whole reference, in Markdown."""
    parts = ["# Commands\n", "Made from the commands' own help: `python tests/cli/test_reference.py`.\n"]
    parts.append("Exit codes: 0 well, 1 the thing asked about is wrong, 2 wrong usage.\n")
    root = click.Context(app, info_name="rota", max_content_width=96, terminal_width=96)
    parts.append(f"```text\n{app.get_help(root)}\n```\n")
    for name in COMMANDS:
        command = app.get_command(root, name)
        assert command is not None
        context = click.Context(
            command, parent=root, info_name=name, max_content_width=96, terminal_width=96
        )
        parts.append(f"## `rota {name}`\n")
        parts.append(f"```text\n{command.get_help(context)}\n```\n")
    return "\n".join(parts)


def test_the_reference_is_in_step() -> None:
    assert PAGE.read_text() == page(), "make it anew: python tests/cli/test_reference.py"


def test_every_command_says_what_it_does() -> None:
    root = click.Context(app, info_name="rota")
    for name in COMMANDS:
        command = app.get_command(root, name)
        assert command is not None
        assert command.help


if __name__ == "__main__":
    PAGE.write_text(page())
    sys.stdout.write(f"made {PAGE.name}\n")
