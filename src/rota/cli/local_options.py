"""The options of `rota agent --local`, and what they mean."""

from __future__ import annotations

import grp
import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

from rota.config.quantities import QuantityError, parse_duration
from rota.errors import UsageError

if TYPE_CHECKING:
    from rota.agent.local import LocalTerms

F = TypeVar("F", bound=Callable[..., Any])

NAMES = ("group", "socket_mode", "unused", "ready_fd")


class Duration(click.ParamType[float]):
    """A duration such as `60s`, in seconds."""

    name = "duration"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Seconds; click's own error otherwise."""
        if isinstance(value, float):
            return value
        try:
            return parse_duration(value)
        except QuantityError as error:
            self.fail(f"{error.what} ({error.hint})", param, ctx)


class Mode(click.ParamType[int]):
    """Permission bits as chmod takes them."""

    name = "mode"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """The bits; click's own error otherwise."""
        if isinstance(value, int):
            return value
        try:
            mode = int(value, 8)
        except ValueError:
            mode = -1
        if not 0 <= mode <= 0o777:
            self.fail(f"'{value}' is no mode, such as 0660", param, ctx)
        return mode


def local_options(function: F) -> F:
    """Add `--local` and what goes with it."""
    options = [
        click.option(
            "--local", is_flag=True, help="Serve local jobs (`rota run`) in place of a kubelet."
        ),
        click.option(
            "--group", metavar="G", help="With --local: who may run jobs, besides the agent's user."
        ),
        click.option(
            "--socket-mode", type=Mode(), metavar="MODE",
            help="With --local: permissions of the socket.  [default: 0660 with --group, else 0600]",
        ),
        click.option(
            "--unused", type=Duration(), metavar="DURATION",
            help="With --local: end after so long without a job or a question.",
        ),
        click.option("--ready-fd", type=int, hidden=True, help="Told when the agent listens."),
    ]  # fmt: skip
    for option in reversed(options):
        function = option(function)
    return function


def local_terms(local: bool, given: dict[str, Any]) -> LocalTerms | None:
    """The terms of a local agent; None for a node's.

    Raises:
        UsageError: an option without --local, or a group that is not there.
    """
    if not local:
        stray = next((name for name in NAMES if given[name] is not None), None)
        if stray:
            raise UsageError("goes with --local", where="--" + stray.replace("_", "-"))
        return None
    from rota.agent.local import LocalTerms
    from rota.jobs.peer import Access

    group, mode, ready = given["group"], given["socket_mode"], given["ready_fd"]
    if ready is not None:
        os.set_inheritable(ready, False)
    if mode is None:
        mode = 0o660 if group else 0o600
    return LocalTerms(Access(mode, _gid(group) if group else None), given["unused"], ready)


def _gid(group: str) -> int:
    try:
        return int(group) if group.isdecimal() else grp.getgrnam(group).gr_gid
    except KeyError:
        raise UsageError(
            f"there is no group '{group}'", where="--group", hint=f"groupadd --system {group}"
        ) from None
