"""Which server, and as whom."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from rota.cluster.connect import namespace
from rota.cluster.door import ClusterError
from rota.cluster.kube import KubeApi
from rota.cluster.kubeconfig import chosen


def write(path: Path, *names: str, current: str = "", **context: str) -> str:
    """A kubeconfig with a cluster, a user and a context of each name."""
    document: dict[str, Any] = {
        "clusters": [{"name": n, "cluster": {"server": f"https://{n}:6443"}} for n in names],
        "users": [{"name": n, "user": {"token": n}} for n in names],
        "contexts": [
            {"name": n, "context": {"cluster": n, "user": n} | context} for n in names
        ],
    }  # fmt: skip
    path.write_text(json.dumps(document | ({"current-context": current} if current else {})))
    return str(path)


def test_a_file_and_its_current_context(tmp_path: Path) -> None:
    file = write(tmp_path / "k", "a", "b", current="b", namespace="team")
    assert chosen(file).cluster.server == "https://b:6443"
    assert chosen(file, "a").cluster.server == "https://a:6443"
    assert namespace(file) == "team"


def test_of_several_files_the_first_that_has_the_context(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = [write(tmp_path / "1", "a"), str(tmp_path / "none"), write(tmp_path / "2", "b")]
    monkeypatch.setenv("KUBECONFIG", os.pathsep.join(files))
    assert chosen(context="b").cluster.server == "https://b:6443"
    with pytest.raises(ClusterError, match="no context 'c'; there is a, b"):
        chosen(context="c")


def test_nothing_at_all_is_told_with_the_file_that_was_looked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("KUBECONFIG", "")
    with pytest.raises(ClusterError, match=r"\.kube/config: no such file or directory") as told:
        chosen()
    assert "$KUBECONFIG" in told.value.hint
    assert "Errno" not in str(told.value)


def test_a_context_without_a_user_is_nobody(tmp_path: Path) -> None:
    file = write(tmp_path / "k", "a", current="a", user="")
    user = chosen(file).user
    assert user is not None
    assert user.token is None


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[", "no way to the Kubernetes API"),
        ("# Rota\n\n**Gives", "line 3 is no YAML: found undefined alias"),
        ("[]", "is no kubeconfig"),
        ("{}", "it has no current context"),
        ("contexts: 7", "no way to the Kubernetes API"),
        ("current-context: a\ncontexts: [{name: a, context: {cluster: b}}]", "`clusters`"),
        ("clusters: []\ncurrent-context: a\ncontexts: [{name: a, context: {cluster: b}}]", "`b`"),
    ],
)
def test_what_is_no_kubeconfig_is_told_without_a_traceback(
    tmp_path: Path, text: str, says: str
) -> None:
    file = tmp_path / "k"
    file.write_text(text)
    with pytest.raises(ClusterError, match=says) as told:
        chosen(str(file))
    assert "kubectl config view" in told.value.hint


def test_a_certificate_that_is_not_there_is_told(tmp_path: Path) -> None:
    file = tmp_path / "k"
    write(file, "a", current="a")
    document = json.loads(file.read_text())
    document["clusters"][0]["cluster"]["certificate-authority"] = "gone.crt"
    file.write_text(json.dumps(document))
    with pytest.raises(ClusterError, match="no way to the Kubernetes API"):
        KubeApi.connect(str(file))
