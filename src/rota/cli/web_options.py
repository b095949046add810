"""The options of `rota agent` about what it tells over HTTP."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from rota.errors import UsageError

F = TypeVar("F", bound=Callable[..., Any])

_FILE: Any = click.Path(path_type=Path, dir_okay=False)


def web_options(function: F) -> F:
    """Add `--listen` and what goes with it."""
    options = [
        click.option(
            "--listen", default="", metavar="ADDR",
            help="Serve the page, metrics and status over HTTP, as HOST:PORT. Command lines are "
            "served on a loopback address only.",
        ),
        click.option(
            "--token-file", type=_FILE, default=None,
            help="A file with a bearer token that figures over HTTP need; probes do not.",
        ),
        click.option("--tls-cert", type=_FILE, default=None, help="Serve HTTPS: a certificate, in PEM."),
        click.option("--tls-key", type=_FILE, default=None, help="The certificate's key, in PEM."),
        click.option(
            "--dcgm-names", is_flag=True,
            help="Add dcgm-exporter's metric names, for dashboards made for it.",
        ),
    ]  # fmt: skip
    for option in reversed(options):
        function = option(function)
    return function


def web_terms(given: dict[str, Any]) -> tuple[str, Path | None, tuple[Path, Path] | None, bool]:
    """What was asked for: address, token's file, certificate and key, names; taken out of `given`.

    Raises:
        UsageError: half a certificate, or no address for what goes with one.
    """
    listen, token = str(given.pop("listen")), given.pop("token_file")
    certificate, key = given.pop("tls_cert"), given.pop("tls_key")
    dcgm_names = bool(given.pop("dcgm_names"))
    if (certificate is None) != (key is None):
        raise UsageError("needs the other one too", where="--tls-cert, --tls-key")
    for name, value in (("--token-file", token), ("--tls-cert", certificate)):
        if value is not None and not listen:
            raise UsageError("is for what --listen serves", where=name, hint="name an address too")
    return listen, token, (certificate, key) if certificate else None, dcgm_names
