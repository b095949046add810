"""`rota run`: the command is itself, and its replicas are neither lost nor kept too long."""

from __future__ import annotations

import os
import pty
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from rota.cli.main import main
from rota.cli.run import locate
from tests.jobs.machines import NOBODY, PATIENCE, ROTA, Machine, sharing, until

root_only = pytest.mark.skipif(os.geteuid() != 0, reason="becoming another user needs root")


def new_machine() -> Iterator[Machine]:
    folder = Path(tempfile.mkdtemp(prefix="rota"))
    folder.chmod(0o755)
    machine = Machine(folder)
    try:
        yield machine
    finally:
        machine.close()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module")
def served() -> Iterator[Machine]:
    """An agent with four replicas of one GPU, for a whole module."""
    for machine in new_machine():
        machine.serve(sharing(4))
        yield machine


@pytest.fixture
def shared(served: Machine) -> Machine:
    """The same with nobody there: a job goes a moment after the command that it was."""
    served.idle()
    return served


@pytest.fixture
def machine() -> Iterator[Machine]:
    """A machine without an agent."""
    yield from new_machine()


# --- the command is itself


def test_exit_code_output_and_input_are_the_commands_own(shared: Machine) -> None:
    ended = shared.rota("run", "--", "sh", "-c", "cat; echo err >&2; exit 7", stdin="in")
    assert (ended.returncode, ended.stdout, ended.stderr) == (7, "in", "err\n")


def test_what_was_closed_before_is_closed_to_the_command(machine: Machine) -> None:
    """Also where an agent is started first: nothing of either may take the place of 0, 1 or 2."""
    code = "import os, sys; os.write(int(sys.argv[1]), str(os.listdir('/proc/self/fd')).encode())"
    inner = (*ROTA, "run", "--emulate", "h200", "--", sys.executable, "-c", code, "9")
    script = 'exec "$@" 9>"$0" <&- >&- 2>&-'
    told = machine.folder / "told"
    subprocess.run(
        ["sh", "-c", script, str(told), *inner], env=machine.environ(), check=True, timeout=PATIENCE
    )
    there = told.read_text()
    assert ("'1'" in there, "'2'" in there) == (False, False)  # 0 is the listing itself


def test_the_command_is_the_same_process_and_dies_of_its_own_signals(shared: Machine) -> None:
    process = shared.start("run", "--", "sh", "-c", "echo $$; kill -PIPE $$; sleep 9")
    out, _ = process.communicate(timeout=PATIENCE)
    assert int(out) == process.pid
    assert process.returncode == -signal.SIGPIPE


def test_options_of_the_command_need_no_dashes_before_it(shared: Machine) -> None:
    assert shared.rota("run", "echo", "--replicas", "-n").stdout == "--replicas -n\n"


def test_the_environment_tells_which_gpu_and_which_job(shared: Machine) -> None:
    ended = shared.rota("run", "--replicas", "2", "--gpu", "0", "--name", "pair", "--", "env")
    env = dict(line.partition("=")[::2] for line in ended.stdout.splitlines())
    gpu = env["CUDA_VISIBLE_DEVICES"]
    assert gpu.startswith("GPU-")
    assert env["NVIDIA_VISIBLE_DEVICES"] == gpu
    assert sorted(env["ROTA_REPLICAS"].split(",")) == [f"{gpu}::0", f"{gpu}::1"]
    assert env["ROTA_JOB"].startswith("pair-")
    assert env["ROTA_EMULATED_GPU"] == str(shared.run_dir / "gpu")


def test_a_program_finds_its_gpu(shared: Machine) -> None:
    work = (sys.executable, "-m", "rota.emulation.workloads", "trainer", "--seconds", "50ms")
    ended = shared.rota("run", "--class", "batch", "--weight", "0.5", "--", *work)
    assert ended.returncode == 0, ended.stderr
    assert '"event": "ready"' in ended.stdout


@pytest.mark.parametrize(("make", "code"), [(None, 127), ("text", 126), ("folder", 126)])
def test_what_cannot_be_run_is_told_as_a_shell_tells_it(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, make: str | None, code: int
) -> None:
    program = tmp_path / "program"
    if make == "folder":
        program.mkdir()
    elif make:
        program.write_text(make)
    for name, path in ((str(program), ""), ("program", f"/nowhere:{tmp_path}")):
        with pytest.raises(SystemExit) as ended:
            locate(name, path)
        assert ended.value.code == code
        assert capsys.readouterr().err.startswith(f"rota: {name}: ")


def test_a_program_whose_interpreter_is_missing_cannot_be_run(
    shared: Machine, tmp_path: Path
) -> None:
    script = tmp_path / "script"
    script.write_text("#!/nowhere/at/all")
    script.chmod(0o755)
    ended = shared.rota("run", "--", str(script))
    assert (ended.returncode, "No such file" in ended.stderr) == (126, True)


def test_a_script_without_a_first_line_is_a_shells(shared: Machine, tmp_path: Path) -> None:
    script = tmp_path / "script"
    script.write_text('echo "$1"; exit 3\n')
    script.chmod(0o755)
    ended = shared.rota("run", "--", str(script), "hello")
    assert (ended.returncode, ended.stdout) == (3, "hello\n")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ([], "Missing argument"),
        (["--replicas", "0", "true"], "--replicas"),
        (["--weight", "-1", "true"], "--weight"),
        (["--weight", "nan", "true"], "--weight"),
        (["--memory", "lots", "true"], "no size"),
        (["--name", "a b", "true"], "--name"),
        (["--class", "urgent", "true"], "interactive"),
    ],
)
def test_wrong_usage_exits_with_2(
    capsys: pytest.CaptureFixture[str], options: list[str], words: str
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["run", *options])
    assert ended.value.code == 2
    assert words in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "words"), [(["--gpu", "5"], "no GPU '5'"), (["--replicas", "5"], "has 4")]
)
def test_what_can_never_be_served_is_refused_at_once(
    shared: Machine, options: list[str], words: str
) -> None:
    ended = shared.rota("run", *options, "--", "true")
    assert ended.returncode == 125
    assert words in ended.stderr


class Terminal:
    """A command in a terminal of its own."""

    def __init__(self, machine: Machine, *command: str) -> None:
        self.master, slave = pty.openpty()
        self.process = subprocess.Popen(
            ["setsid", "--ctty", *ROTA, *command],
            stdin=slave, stdout=slave, stderr=slave, env=machine.environ(),
        )  # fmt: skip
        os.close(slave)
        self.text = ""

    def read_until(self, words: str) -> None:
        end = time.monotonic() + PATIENCE
        while words not in self.text:
            assert time.monotonic() < end, self.text
            if select.select([self.master], [], [], 0.1)[0]:
                try:
                    self.text += os.read(self.master, 4096).decode()
                except OSError:  # how Linux tells that the last one has left the terminal
                    break
        assert words in self.text, self.text

    def interrupt(self) -> None:
        """Ctrl-C until it has ended: a shell between two commands swallows one."""

        def ended() -> bool:
            with suppress(OSError):
                os.write(self.master, b"\x03")
            return self.process.poll() is not None

        until(ended)

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self.master)


def test_the_terminal_is_the_commands_own(shared: Machine) -> None:
    shell = "test -t 0 && test -t 1 && echo size $(stty size </dev/tty); exec sleep 600"
    terminal = Terminal(shared, "run", "--", "sh", "-c", shell)
    try:
        terminal.read_until("size 0 0")
        terminal.interrupt()
        assert terminal.process.returncode == -signal.SIGINT
    finally:
        terminal.close()
    shared.idle()


# --- the line


def test_no_room_stands_in_line_and_says_for_whom(shared: Machine) -> None:
    holder = shared.start("run", "--replicas", "4", "--name", "holder", "--", "sleep", "600")
    (job,) = shared.holding()
    waits = shared.start("run", "--", "echo", "mine")
    until(lambda: len(shared.jobs()) == 2)
    full = shared.rota("run", "--no-wait", "true")
    assert full.returncode == 75
    assert f"held by {job['id']} ({job['user']}); before you echo-" in full.stderr
    holder.kill()
    out, err = waits.communicate(timeout=PATIENCE)
    assert out == "mine\n"
    assert f"waiting, number 1 in line: a replica, held by {job['id']}" in err
    shared.idle()


def test_ctrl_c_leaves_the_line(shared: Machine) -> None:
    holder = shared.start("run", "--replicas", "4", "--", "sleep", "600")
    assert shared.holding()[0]["pid"] == holder.pid
    terminal = Terminal(shared, "run", "--", "echo", "mine")
    try:
        terminal.read_until("number 1 in line")
        terminal.interrupt()
        assert terminal.process.returncode in (130, -signal.SIGINT)  # the same to a shell
    finally:
        terminal.close()
    until(lambda: len(shared.jobs()) == 1)
    holder.kill()
    shared.idle()


def test_a_quota_is_said_to_be_it(machine: Machine) -> None:
    machine.serve(sharing(4, "rota: {jobs: {quota: 1}}\n"))
    machine.start("run", "--", "sleep", "600")
    machine.holding()
    full = machine.rota("run", "--no-wait", "true")
    assert (full.returncode, "your quota, held by sleep-" in full.stderr) == (75, True)


# --- ends of all kinds


def test_killed_with_9_it_holds_nothing(shared: Machine) -> None:
    process = shared.start("run", "--", "sleep", "600")
    shared.holding()
    process.kill()
    shared.idle()


def test_a_child_that_outlives_it_keeps_its_replicas(shared: Machine) -> None:
    shell = "sleep 600 & echo ready; exec sleep 600"
    process = shared.start("run", "--name", "pair", "--", "sh", "-c", shell)
    assert process.stdout
    assert process.stdout.readline() == "ready\n"
    process.kill()
    process.wait()
    until(lambda: process.pid not in shared.holding()[0]["pids"])
    assert "pair" in shared.rota("stop", "pair").stdout
    assert shared.jobs() == []


def test_an_agent_killed_with_9_is_followed_by_one_that_knows_the_jobs(machine: Machine) -> None:
    machine.serve(sharing(2))
    first = machine.start("run", "--replicas", "2", "--", "sleep", "600")
    (before,) = machine.holding()
    waits = machine.start("run", "--", "echo", "mine")
    until(lambda: len(machine.jobs()) == 2)
    machine.end_agent(signal.SIGKILL)
    assert first.poll() is None
    machine.serve()
    assert [job for job in machine.jobs() if job["state"] == "running"] == [before]
    until(lambda: len(machine.jobs()) == 2)  # who waited asks again
    first.kill()
    assert waits.communicate(timeout=PATIENCE)[0] == "mine\n"
    machine.idle()


def test_the_agent_ends_well_and_leaves_jobs_alone(machine: Machine) -> None:
    machine.serve(sharing(2))
    process = machine.start("run", "--", "sleep", "600")
    machine.holding()
    assert machine.end_agent() == 0
    assert process.poll() is None
    machine.serve()
    assert machine.holding()[0]["pid"] == process.pid


def test_an_edit_of_the_config_serves_who_waits(machine: Machine) -> None:
    machine.serve(sharing(2))
    machine.start("run", "--replicas", "2", "--", "sleep", "600")
    machine.holding()
    waits = machine.start("run", "--", "echo", "mine")
    until(lambda: len(machine.jobs()) == 2)
    machine.config.write_text(sharing(3))
    assert waits.communicate(timeout=PATIENCE)[0] == "mine\n"


def test_jobs_take_turns_as_clients_of_the_gpu(machine: Machine) -> None:
    machine.serve(sharing(2))
    work = (sys.executable, "-m", "rota.emulation.workloads", "trainer", "--seconds", "30s")
    for name in ("one", "two"):
        machine.start("run", "--name", name, "--", *work)
    ids = {f"job/{job['id']}" for job in machine.holding(2)}

    def seen() -> bool:
        ended = machine.rota("turns", "-o", "json", "--run-dir", str(machine.run_dir))
        return all(f'"{id_}"' in ended.stdout for id_ in ids)

    until(seen)


# --- an agent of one's own


def test_without_an_agent_one_is_started_and_ends_unused(machine: Machine) -> None:
    options = ("run", "--emulate", "t4", "--unused", "500ms", "--")
    ended = machine.rota(*options, "sh", "-c", "echo $PPID; wait; exit 5")
    assert ended.returncode == 5
    assert int(ended.stdout) == os.getpid()
    until(lambda: any("it ends" in line for line in machine.events()))
    until(lambda: not (machine.run_dir / "rota.sock").exists())
    assert machine.rota("ps").stderr == "rota: no agent runs here, so there are no jobs\n"


def test_two_at_once_start_one_agent(machine: Machine) -> None:
    options = ("run", "--emulate", "t4", "--unused", "500ms", "--")
    both = [machine.start(*options, "echo", "mine") for _ in range(2)]
    for process in both:
        out, err = process.communicate(timeout=PATIENCE)
        assert (process.returncode, out) == (0, "mine\n"), err
    serving = [line for line in machine.events() if "serving local jobs" in line]
    assert len(serving) == 1


def test_an_agent_that_cannot_serve_says_why(machine: Machine) -> None:
    ended = machine.rota("run", "--emulate", "nothing9", "--", "true")
    assert ended.returncode == 125
    assert "nothing9" in ended.stderr
    assert "agent.log" in ended.stderr


def test_a_folder_that_others_may_write_is_not_used(machine: Machine) -> None:
    machine.run_dir.mkdir()
    machine.run_dir.chmod(0o777)
    ended = machine.rota("run", "--emulate", "t4", "--", "true")
    assert ended.returncode == 125
    assert "not yours alone" in ended.stderr


# --- several users


@root_only
def test_a_users_job_is_the_users_own(machine: Machine) -> None:
    machine.serve(sharing(2), "--socket-mode", "0666")
    mine = machine.start("run", "--name", "mine", "--", "sh", "-c", "sleep 600", "secret")
    theirs = machine.start("run", "--name", "theirs", "--", "sleep", "601", user=NOBODY)
    machine.holding(2)
    shown = machine.rota("ps", user=NOBODY).stdout
    assert "mine-" in shown
    assert "secret" not in shown
    assert "sleep 601" in shown
    refused = machine.rota("stop", "mine", user=NOBODY)
    assert (refused.returncode, "only its user and root" in refused.stderr) == (1, True)
    assert machine.rota("stop", "theirs", user=NOBODY).returncode == 0
    assert theirs.wait(PATIENCE) == -signal.SIGTERM
    assert mine.poll() is None
    heavy = machine.rota("run", "--weight", "2", "true", user=NOBODY)
    assert (heavy.returncode, "is for the agent's own user" in heavy.stderr) == (125, True)
    theirs = machine.start("run", "--name", "again", "--", "sleep", "602", user=NOBODY)
    machine.holding(2)
    assert "sleep 602" in machine.rota("ps").stdout  # root sees, and may end, everybody's
    assert machine.rota("stop", "again").returncode == 0
    assert theirs.wait(PATIENCE) == -signal.SIGTERM


@root_only
def test_who_is_not_in_the_group_is_told_which(machine: Machine) -> None:
    machine.serve(sharing(2), "--group", "daemon")
    ended = machine.rota("run", "true", user=NOBODY)
    assert ended.returncode == 125
    assert "join the group daemon" in ended.stderr


@root_only
def test_an_agent_of_another_user_is_not_believed(machine: Machine) -> None:
    machine.run_dir.mkdir()
    os.chown(machine.run_dir, NOBODY, NOBODY)
    theirs = machine.start(
        *("agent", "--local", "--emulate", "t4", "--run-dir", str(machine.run_dir)), user=NOBODY
    )
    until(lambda: (machine.run_dir / "rota.sock").exists() or theirs.poll() is not None)
    ended = machine.rota("run", "true")
    assert ended.returncode == 125
    assert "is not believed" in ended.stderr


def test_more_memory_than_is_unclaimed_is_refused_with_what_could_be_had(machine: Machine) -> None:
    machine.serve(sharing(3))
    machine.start("run", "--memory", "10Gi", "--", "sleep", "600")
    machine.holding()
    refused = machine.start("run", "--memory", "20Gi", "--", "true")
    _, said = refused.communicate(timeout=PATIENCE)
    assert refused.returncode == 125
    assert "is unclaimed (ask for at most" in said
    at_once = machine.rota("run", "--no-wait", "--memory", "20Gi", "--", "true")
    assert at_once.returncode == 125
    assert "is unclaimed (ask for at most" in at_once.stderr
    assert [job["state"] for job in machine.jobs()] == ["running"]
