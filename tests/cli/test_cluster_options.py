"""What `rota agent` makes of its options for a cluster."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from rota.agent.citizen import Terms
from rota.cli.cluster_options import PLUGIN, cluster_terms
from rota.cluster.connect import connect
from rota.cluster.selector import Selector
from rota.errors import UsageError

NOTHING: dict[str, Any] = {
    "cluster": False, "config_map": "", "labels": "all", "feature_file": None, "beside_nvidia": "",
}  # fmt: skip


def test_nothing_said_is_no_cluster() -> None:
    assert cluster_terms(NOTHING, None, local=False) is None
    assert cluster_terms(NOTHING, None, local=True) is None


def test_a_configmap_is_enough() -> None:
    given = NOTHING | {"config_map": "rota/config"}
    assert cluster_terms(given, "few", local=False) == Terms(("rota", "config"), "few")


def test_everything_else_goes_with_it() -> None:
    given = NOTHING | {
        "cluster": True, "labels": "own", "feature_file": Path("/f"), "beside_nvidia": PLUGIN,
    }  # fmt: skip
    assert cluster_terms(given, None, local=False) == Terms(None, "", "own", Path("/f"), Selector())


@pytest.mark.parametrize(
    ("given", "local", "says"),
    [
        ({"labels": "own"}, False, "--labels: is for an agent of a cluster"),
        ({"beside_nvidia": PLUGIN}, False, "--beside-nvidia: is for an agent of a cluster"),
        ({"cluster": True}, True, "a local agent has no cluster"),
        ({"config_map": "config"}, False, "'config' is not NAMESPACE/NAME"),
        ({"config_map": "a/b/c"}, False, "'a/b/c' is not NAMESPACE/NAME"),
        ({"cluster": True, "beside_nvidia": "x"}, False, "'x' is not NAMESPACE/LABEL=VALUE"),
    ],
)
def test_what_cannot_be_meant_is_refused(given: dict[str, Any], local: bool, says: str) -> None:
    with pytest.raises(UsageError, match=says):
        cluster_terms(NOTHING | given, None, local)


def test_without_the_client_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "rota.cluster.kube", raising=False)
    monkeypatch.setitem(sys.modules, "httpx2", None)
    with pytest.raises(UsageError, match=r"lightkube is not installed.*make cluster"):
        connect()


def test_an_agent_without_a_cluster_pays_nothing_for_it() -> None:
    """Neither the help nor a plain agent imports the client, or even the room."""
    program = (
        "import sys, rota.cli.agent, rota.agent.node, rota.agent.turns; "
        "print([m for m in sys.modules if m.split('.')[0] in ('lightkube', 'httpx2') "
        "or m.startswith('rota.cluster')])"
    )
    made = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=50
    )
    assert made.stdout.strip() == "[]"
