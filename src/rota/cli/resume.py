"""`rota resume`: a paused job's memory back to the GPU."""

from __future__ import annotations

from pathlib import Path

import click

from rota.cli.jobs_agent import run_dir_option
from rota.cli.paging_steps import page
from rota.cli.stop import own_jobs


@click.command()
@run_dir_option
@click.argument("job", shell_complete=own_jobs)
def command(job: str, run_dir: Path | None) -> None:
    """Bring a paused job's memory back to the GPU.

    Answers when it is there. Where there is no room it waits until there is; left with Ctrl-C, the
    job comes back as soon as it can all the same.
    """
    page("resume", job, run_dir)
