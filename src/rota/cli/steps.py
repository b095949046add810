"""How a command that changes a cluster tells what it does: a line a step."""

from __future__ import annotations

import click

_COLOURS = {"ok": "green", "FAIL": "red", "wait": "yellow", "note": "cyan", "same": "bright_black"}


def say(mark: str, about: str, what: str) -> None:
    """One line: a mark, what it is about, and a word on it."""
    text = f"{about:<44}  {what}" if what else about
    click.echo(f"{click.style(f'{mark:<4}', fg=_COLOURS.get(mark, 'blue'))} {text}".rstrip())
