"""`rota rollback`: takes out of a cluster what `rota apply` put in."""

from __future__ import annotations

import click

from rota.cli.cluster_client import Access, access_options, ask
from rota.cli.local_options import Duration
from rota.cli.steps import say


@click.command()
@click.option("--force", is_flag=True, help="Also while pods hold replicas.")
@click.option("--timeout", type=Duration(), default="5m", show_default=True, metavar="DURATION",
              help="How long the nodes may take.")  # fmt: skip
@click.option("--no-wait", is_flag=True, help="Do not wait for the nodes.")
@access_options("")
def command(access: Access, force: bool, timeout: float, no_wait: bool) -> None:
    """Take out of a cluster what `rota apply` put in and nothing else, and put back what was there.

    What apply made goes; what was there before says again what it said. Then it waits until the nodes
    have their physical GPUs again: with the GPU operator, one a device; without a plugin, none.
    Refused while pods hold replicas. Broken off anywhere, the next call goes on.

    Exit code: 0 it is undone, or there was nothing; 1 it is not; 2 wrong usage.
    """
    from rota.cluster.door import Api
    from rota.deploy.rollback import Rollback

    async def undo(api: Api) -> bool:
        return await Rollback(api, say, 0.0 if no_wait else timeout, force).run()

    done = ask(access, undo)
    say(
        "ok",
        "rollback",
        "it is as it was" if done else "nothing of `rota apply` is in this cluster",
    )
