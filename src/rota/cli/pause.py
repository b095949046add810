"""`rota pause`: a local job's GPU memory to host memory."""

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
    """Bring a local job's GPU memory to host memory, by its id or its name.

    It stays there, and waits at its next use of the GPU, until `rota resume`. Answers when it is
    out; a job that cannot go runs on, with the reason told.
    """
    page("pause", job, run_dir)
