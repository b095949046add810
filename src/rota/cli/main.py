"""The command line: a table of commands, each loaded only when it is called.

`rota --help` answers in a fraction of the time that importing gRPC alone would take. This is also
where errors become sentences and exit codes, once for every command.
"""

from __future__ import annotations

import errno
import importlib
import io
import sys
from collections.abc import Mapping

import click

from rota import __version__
from rota.errors import RotaError

COMMANDS: Mapping[str, str] = {
    "demo": "Show the whole thing on this machine: one GPU, four pods, a fifth that waits.",
    "check": "Read configs and manifests, and explain each mistake.",
    "devices": "Show the GPUs here and the replicas that a config makes of them.",
    "agent": "Serve this node's GPUs to its kubelet, or to local jobs.",
    "gatekeeper": "Run the turns, where the agent is another container.",
    "top": "Show who has the GPU, who waits, and who uses what.",
    "turns": "Show whose turn it was, for how long, and why it ended.",
    "trace": "Record the turns of the next seconds for Perfetto, or draw them.",
    "run": "Run a command on a share of a GPU, in line if there is no room.",
    "ps": "List the local jobs: what they hold, and who waits.",
    "pause": "Bring a local job's GPU memory to host memory.",
    "resume": "Bring a paused job back to the GPU.",
    "stop": "End a local job.",
    "manifests": "Print what puts Rota into a cluster, without kustomize.",
    "apply": "Put a config and Rota into a cluster, and wait until its nodes serve it.",
    "verify": "Prove that a cluster serves its GPUs as its config says.",
    "doctor": "Say what is wrong with a cluster's GPUs, why, and what to type.",
    "rollback": "Take out of a cluster what apply put in, and put back what was there.",
    "inside": "Show what a program in this container sees of its GPUs.",
    "bench": "Measure turns beside the driver's own slicing, on this machine.",
    "completion": "Print what makes a shell complete rota's commands.",
}
"""Name → summary. The command `x` is `rota.cli.x.command`."""

_WANTING: Mapping[int | None, str] = {
    errno.ENOSPC: "no room to write to",
    errno.EMFILE: "too many files are open in this process; raise its limit (ulimit -n)",
    errno.ENFILE: "too many files are open on this machine",
}
"""What the machine may lack, in words."""


class _Commands(click.Group):
    """A group that imports a command's module when the command is named."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        command = importlib.import_module(f"rota.cli.{cmd_name}").command
        assert isinstance(command, click.Command)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            import difflib  # only for those who make mistakes

            near = difflib.get_close_matches(args[0], COMMANDS, 1)
            hint = f" Did you mean '{near[0]}'?" if near else ""
            raise click.UsageError(f"{error.message}{hint}", ctx) from None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="rota", message="%(prog)s %(version)s")
def app() -> None:
    """Gives every program on a shared NVIDIA GPU its turn."""


def main(args: list[str] | None = None) -> None:
    """Run the command line and exit: 0 well, 1 the thing asked about is wrong, 2 wrong usage."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a × where the locale has none
    try:
        sys.exit(app.main(args, standalone_mode=False) or 0)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        sys.exit(130)
    except RotaError as error:
        click.echo(f"rota: {error}", err=True)
        sys.exit(error.exit_code)
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(0)
    except OSError as error:
        if error.errno not in _WANTING:
            raise
        click.echo(f"rota: {_WANTING[error.errno]}", err=True)
        sys.exit(1)
