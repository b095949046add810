"""`rota run`: takes replicas, and then becomes the command.

The same process executes the command, so its input and output, its terminal, its signals and its
exit code are its own; the agent follows that process and its children from outside.
"""

from __future__ import annotations

import errno
import os
import signal
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NoReturn

import click

from rota.cli.jobs_agent import run_dir_option, some_agent
from rota.cli.local_options import Duration
from rota.config.quantities import QuantityError, parse_size
from rota.errors import RotaError, UsageError
from rota.jobs import protocol
from rota.jobs.client import AgentGone
from rota.jobs.job import CLASSES, Wish, name_of

NO_ROOM = 75
"""Exit code under --no-wait: try again later (EX_TEMPFAIL)."""

OURS = 125
"""Exit code where Rota itself could not do it, as with env, nice and timeout."""

CANNOT_RUN, NOT_FOUND = 126, 127

TRIES = 5
"""How often an agent that ends while we ask is asked again."""


class Size(click.ParamType[int]):
    """A size such as `4Gi`, in bytes."""

    name = "size"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Bytes; click's own error otherwise."""
        try:
            return parse_size(value)
        except QuantityError as error:
            self.fail(f"{error.what} ({error.hint})", param, ctx)


@click.command(
    context_settings={"allow_interspersed_args": False},
    epilog=f"Exit code: the command's own; {NOT_FOUND} it is not found, {CANNOT_RUN} it cannot be "
    f"run, {OURS} Rota could not, {NO_ROOM} no room (--no-wait), 2 wrong usage.",
)
@click.option("--replicas", type=click.IntRange(1), default=1, show_default=True,
              help="How many; two of one GPU are a double share of it.")  # fmt: skip
@click.option("--weight", type=float, default=1.0, show_default=True,
              help="A factor on its share of time.")  # fmt: skip
@click.option("--class", "job_class", type=click.Choice(CLASSES), default="standard",
              show_default=True, help="How its turns begin.")  # fmt: skip
@click.option("--gpu", default="", metavar="G", help="Of this GPU: index or UUID.")
@click.option("--memory", type=Size(), metavar="SIZE",
              help="Its limit of memory on each of its GPUs.  [default: its share]")  # fmt: skip
@click.option("--wait/--no-wait", default=True, show_default=True,
              help="Stand in line where there is no room.")  # fmt: skip
@click.option("--name", metavar="J", help="What the job is called.  [default: the program's name]")
@click.option("--emulate", metavar="PROFILE[xN]", default="",
              help="If an agent is started: for emulated GPUs.")  # fmt: skip
@click.option("--unused", type=Duration(), default=60.0, hidden=True,
              help="If an agent is started: it ends after so long unused.")  # fmt: skip
@run_dir_option
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED, metavar="[--] CMD…")
def command(
    replicas: int,
    weight: float,
    job_class: Any,
    gpu: str,
    memory: int | None,
    wait: bool,
    name: str | None,
    emulate: str,
    unused: float,
    run_dir: Path | None,
    command: tuple[str, ...],
) -> None:
    """Run a command on a share of a GPU, in line if there is no room.

    The command runs in the foreground as if it had been started without Rota. It sees the GPUs that
    it holds replicas of (CUDA_VISIBLE_DEVICES), and holds them until its last process has ended, a
    background child included. Where no agent runs, one is started, and ends when it is not used.
    """
    _hold_standard()
    program = locate(command[0], os.environ.get("PATH", os.defpath))
    wish = Wish(name or name_of(command), command, replicas, gpu, weight, job_class, memory, wait)
    protocol.read_wish(protocol.wish_fields(wish))
    try:
        granted = _take(wish, run_dir, emulate, unused)
    except UsageError:
        raise
    except RotaError as error:
        error.exit_code = OURS
        raise
    become(program, command, os.environ | granted["hints"] | granted["env"])


def locate(name: str, path: str) -> str:
    """The program that a shell would run, or its exit code for one that it could not."""
    places = [name] if "/" in name else [f"{each or '.'}/{name}" for each in path.split(":")]
    there = False
    for place in places:
        if os.access(place, os.X_OK) and Path(place).is_file():
            return place
        there = there or os.path.lexists(place)
    if there:
        raise _failed(f"{name}: not a program that may be run", CANNOT_RUN)
    raise _failed(f"{name}: command not found", NOT_FOUND)


def become(program: str, command: tuple[str, ...], environ: Mapping[str, str]) -> NoReturn:
    """Be that command from now on."""
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:  # it was closed when we were started
            stream.flush()
    for number in (signal.SIGPIPE, signal.SIGXFSZ):  # Python ignores them; programs should not
        signal.signal(number, signal.SIG_DFL)
    try:
        try:
            os.execve(program, command, environ)
        except OSError as error:
            if error.errno != errno.ENOEXEC:
                raise
            os.execve("/bin/sh", ("/bin/sh", program, *command[1:]), environ)
    except OSError as error:
        raise _failed(f"{program}: {error.strerror}", CANNOT_RUN) from None


def _hold_standard() -> None:
    """Let nothing of ours become 0, 1 or 2 where those are closed; the command finds them closed."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest free number, and ends with our exec


def _take(wish: Wish, run_dir: Path | None, emulate: str, unused: float) -> dict[str, Any]:
    """Ask until there is an answer; an agent that ends meanwhile is asked anew."""
    for _ in range(TRIES):
        try:
            return _ask(wish, run_dir, emulate, unused)
        except AgentGone:
            _say("the agent has ended; asking again")
    return _ask(wish, run_dir, emulate, unused)


def _ask(wish: Wish, run_dir: Path | None, emulate: str, unused: float) -> dict[str, Any]:
    waited = False
    with some_agent(run_dir, emulate, unused) as link:
        link.ask("run", emulate=emulate, **protocol.wish_fields(wish))
        for answer in link.answers():
            if "waiting" in answer:
                _say_waiting(answer, wish, first=not waited)
                waited = True
    if "full" in answer:
        raise _failed(f"no room: {describe(answer['full'], wish.replicas)}", NO_ROOM)
    granted: dict[str, Any] = answer["granted"]
    if waited:
        _say(f"{granted['job']} starts")
    granted["hints"] = hinted(answer["agent"].get("hints"), granted["replicas"], wish.memory_bytes)
    for text in no_turns(answer["agent"]["devices"], granted["replicas"]):
        _say(text)
    return granted


def hinted(
    told: Mapping[str, Any] | None, replicas: Iterable[str], own: int | None
) -> dict[str, str]:
    """What frameworks are told of the limit; nothing over a variable that is set."""
    if not told:
        return {}
    from rota.memory.hints import Cap, hints

    held = Counter(id_.partition("::")[0] for id_ in replicas)
    parts = {gpu: told["parts"][gpu] for gpu in held if gpu in told["parts"]}
    caps = [Cap(own or min(part * held[gpu], total), total) for gpu, (part, total) in parts.items()]
    return hints(told["frameworks"], caps, os.environ, told["context"])


def no_turns(devices: Iterable[Mapping[str, Any]], replicas: Iterable[str]) -> Iterator[str]:
    """What to say of GPUs that are shared and cannot be shared in turns."""
    mine = {id_.partition("::")[0] for id_ in replicas if "::" in id_}
    for device in devices:
        if device["uuid"] in mine and device["no_turns"]:
            why = device["no_turns"]
            yield f"no turns on GPU {device['index']}, the driver slices its time: {why}"


def _say_waiting(answer: Mapping[str, Any], wish: Wish, *, first: bool) -> None:
    place = answer["waiting"]
    _say(f"waiting, number {place['position']} in line: {describe(place, wish.replicas)}")
    agent = answer["agent"]
    whole = all(device["replicas"] == 1 for device in agent["devices"])
    if first and whole and not agent["config"]:
        _say("without a config each job has a whole GPU; see `rota agent --help` for where it lies")


def describe(place: Mapping[str, Any], replicas: int) -> str:
    """What one in line waits for, and for whom."""
    wanted = "a replica" if replicas == 1 else f"{replicas} replicas"
    ahead = [f"{each['id']} ({each['user']})" for each in place["ahead"]]
    holders = [f"{each['id']} ({each['user']})" for each in place["holders"]]
    if place["more"]:
        holders.append(f"{place['more']} more")
    held = ", ".join(holders) or "no job"
    told = {
        "room": f"{wanted}, held by {held}",
        "quota": f"your quota, held by {held}",
        "health": "a GPU that is not well",
    }[place["why"]]
    return f"{told}; before you {', '.join(ahead)}" if ahead else told


def _say(text: str) -> None:
    click.echo(f"rota: {text}", err=True)


def _failed(text: str, code: int) -> SystemExit:
    _say(text)
    return SystemExit(code)
