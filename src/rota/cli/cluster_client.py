"""How a person's command reaches a cluster: which one, as whom, and what becomes of its failures.

Every command that asks the Kubernetes API takes the same options, waits no longer than it was told,
says the same of a server that is absent, slow or forbids, and is ended the same way: Ctrl-C, TERM
and a closed terminal cancel what it does, so that what it made can be cleaned up first.
"""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import click

from rota.cli.local_options import Duration

if TYPE_CHECKING:
    from rota.cluster.door import Api

T = TypeVar("T")
F = TypeVar("F", bound=Callable[..., Any])

ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""Signals that cancel a command; it may clean up, and a second one ends it at once."""


@dataclass(frozen=True, slots=True)
class Access:
    """Which cluster, as whom, where in it.

    Attributes:
        kubeconfig: a file; empty for the environment's.
        context: one of its contexts; empty for the current one.
        given: the namespace as given with `-n`; empty where it was not.
        timeout: seconds that one answer may take.
    """

    kubeconfig: str = ""
    context: str = ""
    given: str = ""
    timeout: float = 10.0

    @property
    def namespace(self) -> str:
        """The namespace: as given, else the context's, else `default`."""
        from rota.cluster.connect import namespace

        return self.given or namespace(self.kubeconfig, self.context)

    @property
    def flags(self) -> str:
        """The options that a kubectl command needs to mean the same cluster, with a space before."""
        file = f" --kubeconfig {self.kubeconfig}" if self.kubeconfig else ""
        return file + (f" --context {self.context}" if self.context else "")


WHICH_CLUSTER: tuple[Callable[[Any], Any], ...] = (
    click.option(
        "--kubeconfig", type=click.Path(dir_okay=False), default="", metavar="FILE",
        help="How to reach the cluster.  [default: the pod's service account, $KUBECONFIG, "
        "~/.kube/config]",
    ),
    click.option("--context", default="", metavar="NAME", help="A context of the kubeconfig."),
)  # fmt: skip
"""Options of every command that may ask a cluster."""


def which_cluster(function: F) -> F:
    """Add `--kubeconfig` and `--context`."""
    for option in reversed(WHICH_CLUSTER):
        function = option(function)
    return function


def access_options(namespace: str) -> Callable[[F], F]:
    """Add `--kubeconfig`, `--context`, `-n` and `--request-timeout` as one argument, `access`.

    Args:
        namespace: what `-n` means to the command; empty where it has none.
    """

    def add(function: F) -> F:
        def command(
            *args: Any,
            kubeconfig: str,
            context: str,
            request_timeout: float,
            namespace: str = "",
            **given: Any,
        ) -> Any:
            access = Access(kubeconfig, context, namespace, request_timeout)
            return function(*args, access=access, **given)

        command.__doc__ = function.__doc__
        command.__name__ = function.__name__
        command.__click_params__ = getattr(function, "__click_params__", [])  # type: ignore[attr-defined]
        wrapped: Any = command
        for option in reversed(_access(namespace)):
            wrapped = option(wrapped)
        result: F = wrapped
        return result

    return add


def _access(namespace: str) -> list[Callable[[Any], Any]]:
    where = click.option("-n", "--namespace", default="", metavar="NS", help=namespace)
    patience = click.option(
        "--request-timeout", type=Duration(), default="10s", show_default=True,
        metavar="DURATION", help="How long the API server may take for one answer.",
    )  # fmt: skip
    return [*WHICH_CLUSTER, *([where] if namespace else []), patience]


def ask(access: Access, question: Callable[[Api], Awaitable[T]]) -> T:
    """Ask the cluster, from connecting to hanging up.

    Raises:
        ClusterError: what the server did not do, with a hint what to look at.
        SystemExit: a signal ended it; 128 and the signal's number.
    """
    from rota.cluster.connect import connect

    async def asked() -> T:
        api = connect(access.kubeconfig, access.context, access.timeout)
        try:
            return await question(api)
        finally:
            await api.close()

    with explained(access):
        return asyncio.run(_until_signal(asked))


async def _until_signal(asked: Callable[[], Awaitable[T]]) -> T:
    loop, task = asyncio.get_running_loop(), asyncio.ensure_future(asked())
    caught: list[signal.Signals] = []

    def end(number: signal.Signals) -> None:
        if caught:
            sys.exit(128 + number)
        caught.append(number)
        task.cancel()

    heard = [n for n in ENDING if signal.getsignal(n) is not signal.SIG_IGN]  # nohup ignores HUP
    for number in heard:
        loop.add_signal_handler(number, end, number)
    try:
        return await task
    except asyncio.CancelledError:
        if caught:
            raise SystemExit(128 + caught[0]) from None
        raise
    finally:
        for number in heard:
            loop.remove_signal_handler(number)


@contextmanager
def explained(access: Access) -> Iterator[None]:
    """The same errors, with what to do about them where the server did not say."""
    from rota.cluster.door import Away, ClusterError, Forbidden

    try:
        yield
    except ClusterError as error:
        if not error.hint and isinstance(error, Away):
            error.hint = f"does `kubectl{access.flags} get --raw /readyz` answer?"
        elif not error.hint and isinstance(error, Forbidden):
            error.hint = "ask whoever runs the cluster for that right, or name another --context"
        raise
