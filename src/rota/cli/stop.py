"""`rota stop`: ends a local job."""

from __future__ import annotations

from pathlib import Path

import click
from click.shell_completion import CompletionItem

from rota.cli.jobs_agent import agent_of, run_dir_option
from rota.cli.local_options import Duration
from rota.errors import RotaError


def own_jobs(ctx: click.Context, _: click.Parameter, begun: str) -> list[CompletionItem]:
    """What a shell offers: ids of the jobs that this user may end."""
    try:
        with agent_of(ctx.params.get("run_dir")) as link:
            link.ask("jobs")
            jobs = link.answer()["jobs"]
    except RotaError:
        return []
    mine = (job["id"] for job in jobs if job["mine"])
    return [CompletionItem(id_) for id_ in mine if id_.startswith(begun)]


@click.command()
@click.option("--grace", type=Duration(), default=10.0, metavar="DURATION",
              help="How long it may take to end by itself.  [default: 10s]")  # fmt: skip
@run_dir_option
@click.argument("job", shell_complete=own_jobs)
def command(job: str, grace: float, run_dir: Path | None) -> None:
    """End a local job, by its id or its name.

    All its processes get SIGTERM, and those that are left after the grace SIGKILL. One that waits
    in line leaves it. Answers when nothing of the job is left.
    """
    with agent_of(run_dir) as link:
        link.ask("stop", job=job, grace=grace)
        stopped = link.answer()["stopped"]
    how = "left the line" if stopped["waited"] else "killed" if stopped["killed"] else "ended"
    click.echo(f"{stopped['job']} {how}")
