"""Commands of pages that need a cluster are run against one: the tests' own, over HTTP.

`rota` is real, called in this process. `kubectl` is a stand-in that knows the few things that these pages do with it, and
refuses all else; what belongs to other projects is only looked at.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from rota.cli.main import app
from tests.cluster.fake.fleet import Fleet
from tests.cluster.served import Served

ROOT = Path(__file__).parents[2]
PAGES = ("docs/tutorial-cluster.md", "docs/how-to-deploy.md", "examples/03-cluster/README.md")
PART = re.compile(r"<!-- cluster: (\w+) -->|^```sh\n(.*?)^```", re.M | re.S)
OTHERS = ("podman",)


def parts(page: str) -> Iterator[tuple[str, list[str]]]:
    """Which cluster, and the commands there, in the page's order."""
    which, commands = "plain", list[str]()
    for cluster, block in PART.findall((ROOT / page).read_text()):
        if cluster:
            yield which, commands
            which, commands = cluster, []
        commands += [line for line in block.splitlines() if line and not line.startswith(OTHERS)]
    yield which, commands


CASES = [(page, which, tuple(run)) for page in PAGES for which, run in parts(page) if run]


@pytest.mark.parametrize(("page", "which", "run"), CASES, ids=[f"{c[0]}-{c[1]}" for c in CASES])
def test_the_commands_work_one_after_the_other(
    page: str,
    which: str,
    run: tuple[str, ...],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    served = Served(tmp_path)
    fleet = Fleet(
        served.fake.store, {"gpu-1": 1, "gpu-2": 2}, "nvidia" if which == "operator" else ""
    )
    before = fleet.allocatable
    for name in ("examples", "deploy"):
        shutil.copytree(ROOT / name, tmp_path / name)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("KUBECONFIG", str(served.kubeconfig))
    monkeypatch.setenv("PATH", f"{made(tmp_path)}:{os.environ['PATH']}")
    try:
        for command in run:
            if command.startswith("rota "):
                typed(command)
            else:
                subprocess.run(["bash", "-c", command], check=True, timeout=55)
        assert fleet.allocatable == (before if which == "operator" else {"gpu-1": 0, "gpu-2": 0})
    finally:
        served.close()


def typed(command: str) -> None:
    """Type a command of ours; it ends well."""
    done = CliRunner().invoke(app, shlex.split(command)[1:], standalone_mode=False)
    assert done.exception is None, f"{command}\n{done.output}"
    assert not done.return_value, f"{command}\n{done.output}"


def made(folder: Path) -> Path:
    """A folder with stand-ins for `kubectl` and `kustomize`."""
    tools = folder / "tools"
    tools.mkdir()
    for name, text in (("kubectl", KUBECTL), ("kustomize", KUSTOMIZE)):
        (tools / name).write_text(text)
        (tools / name).chmod(0o755)
    return tools


KUSTOMIZE = """#!/bin/bash
[ "$1" = build ] && [ -f "$2/kustomization.yaml" ]
"""

KUBECTL = """#!/bin/bash
# Only what the pages do: files that are named have to be there.
set -e
case "$1 $2" in
  "create namespace"|"create secret"|"label node"|"get nodes"|"get clusterpolicy") ;;
  "apply -n"|"delete -n") ;;
  "logs -n"|"port-forward -n") [[ "$4" == daemonset/rota ]] ;;
  *) echo "what is kubectl $*?" >&2; exit 1 ;;
esac
previous=
for word in "$@"; do
  if [ "$previous" = -f ]; then [ -f "$word" ] || { echo "no $word" >&2; exit 1; }; fi
  previous=$word
done
"""
