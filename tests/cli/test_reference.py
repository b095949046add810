"""docs/reference/cli.md is what the commands say of themselves."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from rota.cli.main import COMMANDS, app

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "cli.md"


WIDTH: dict[str, Any] = {"max_content_width": 96, "terminal_width": 96}


def contexts() -> Iterator[tuple[str, click.Context]]:
    """The program's context, then each command's, as they are when somebody types them."""
    root = app.make_context("rota", [], resilient_parsing=True, **WIDTH)
    yield "rota", root
    for name in COMMANDS:
        command = app.get_command(root, name)
        assert command is not None
        context = command.make_context(
            name,
            [],
            parent=root,
            resilient_parsing=True,
            **(WIDTH | dict(command.context_settings)),
        )
        yield f"rota {name}", context


def page() -> str:
    """The whole reference, in Markdown."""
    parts = [
        "# Commands\n",
        "Made from the commands' own help: `python tests/cli/test_reference.py`.\n",
    ]
    parts.append("Exit codes: 0 well, 1 the thing asked about is wrong, 2 wrong usage.\n")
    for name, context in contexts():
        parts.append(f"## `{name}`\n\n```text\n{context.get_help()}\n```\n")
    return "\n".join(parts)


def test_the_reference_is_in_step() -> None:
    """In an interpreter of its own: click remembers help options of a command once it ran."""
    asked = [sys.executable, __file__, "--print"]
    made = subprocess.run(asked, capture_output=True, text=True, check=True, timeout=50).stdout
    assert PAGE.read_text() == made, "make it anew: python tests/cli/test_reference.py"


def test_every_command_says_what_it_does() -> None:
    assert all(context.command.help for _, context in contexts())


if __name__ == "__main__":
    if "--print" in sys.argv:
        sys.stdout.write(page())
    else:
        PAGE.write_text(page())
        sys.stdout.write(f"made {PAGE.name}\n")
