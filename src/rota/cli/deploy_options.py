"""The options of commands that put Rota into a cluster."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])

OVERLAYS = ("standalone", "gpu-operator")


def choice_options(function: F) -> F:
    """Add `--image`, `--component` and `--set`."""
    options = [
        click.option(
            "--image", default="", metavar="NAME:TAG",
            help="The agent's image. No registry has one: build it from deploy/Containerfile.",
        ),
        click.option(
            "--component", "components", multiple=True, metavar="NAME",
            help="Add cdi, token or priority-quota; may be repeated.",
        ),
        click.option(
            "--set", "pairs", multiple=True, metavar="NAME=VALUE",
            help="Choose namespace, image, pullPolicy, pullSecret, configMap, configKey, "
            "runtimeClass, port or logLevel; may be repeated.",
        ),
    ]  # fmt: skip
    for option in reversed(options):
        function = option(function)
    return function
