"""Which agent's figures `rota top` and `rota trace` read."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from rota.cli.jobs_agent import folders, run_dir_option
from rota.errors import UsageError

if TYPE_CHECKING:
    from rota.figures.reader import Reader

F = TypeVar("F", bound=Callable[..., Any])

_FILE = click.Path(path_type=Path, dir_okay=False)


def agent_options(function: F) -> F:
    """Add `--run-dir` and `--agent`, with what an agent elsewhere may want."""
    options = [
        click.option("--token-file", type=_FILE, help="With --agent: the file with its token."),
        click.option("--ca", type=_FILE, help="With --agent: who vouches for its certificate."),
        click.option(
            "--agent", "address", metavar="URL", envvar="ROTA_AGENT",
            help="An agent that listens there, such as http://node:9400.",
        ),
    ]  # fmt: skip
    for option in options:
        function = option(function)
    return run_dir_option(function)


def figures_of(
    run_dir: Path | None, address: str | None, token_file: Path | None, ca: Path | None
) -> Reader:
    """A reader of that agent; of one in its usual folders where none is named.

    Raises:
        UsageError: options that do not go together, or a file that cannot be read.
    """
    from rota.figures.reader import Reader, figures_socket

    if address:
        return Reader(address, _token(token_file), ca)
    if token_file or ca:
        raise UsageError("--token-file and --ca are for an agent elsewhere", hint="add --agent URL")
    places = folders(run_dir)
    there = (place for place in places if figures_socket(place).exists())
    return Reader(next(there, places[-1]))


def _token(file: Path | None) -> str:
    if file is None:
        return ""
    try:
        return file.read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"cannot be read: {error}", where=str(file)) from None
