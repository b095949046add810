"""`rota apply` and `rota rollback` as a person types them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from rota.cli.main import app
from rota.errors import RotaError
from tests.cluster.fake.fleet import GPU, Fleet
from tests.cluster.served import Served
from tests.doctor.build import SHARING

ROOT = Path(__file__).parents[2]
SEED = str(ROOT / "examples" / "01-seed" / "time-slicing-config.yaml")
IMAGE = ("--image", "here.example/rota:1")

Rota = Callable[..., Result]


@pytest.fixture
def fleet(served: Served) -> Fleet:
    return Fleet(served.fake.store, {"gpu-1": 1, "gpu-2": 2})


@pytest.fixture
def rota(served: Served, fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> Rota:
    monkeypatch.setattr("rota.deploy.rollback.LOOK", (0.02, 0.1))

    def rota(*args: str) -> Result:
        words = [*args, "--kubeconfig", str(served.kubeconfig)]
        return CliRunner().invoke(app, words, standalone_mode=False)

    return rota


def test_apply_and_rollback_say_what_they_do(rota: Rota, fleet: Fleet) -> None:
    done = rota("apply", SEED, *IMAGE)
    assert not done.return_value, done.output
    lines = done.output.splitlines()
    assert lines[0].startswith("ok   the config")
    assert "made DaemonSet gpu-operator-resources/rota" in lines
    assert lines[-1].split() == ["ok", "all", "nodes", "2", "of", "2", "serve", "it"]
    assert fleet.allocatable == {"gpu-1": 4, "gpu-2": 8}
    again = rota("apply", SEED).output.splitlines()
    assert {line.split()[0] for line in again} == {"ok", "same"}
    undone = rota("rollback")
    assert "gone DaemonSet gpu-operator-resources/rota" in undone.output
    assert undone.output.splitlines()[-1].split() == [
        "ok",
        "rollback",
        "it",
        "is",
        "as",
        "it",
        "was",
    ]
    assert fleet.allocatable == {"gpu-1": 0, "gpu-2": 0}
    assert "nothing of `rota apply` is in this cluster" in rota("rollback").output


@pytest.mark.parametrize("operator", ["", "nvidia"])
def test_what_apply_ends_with_is_proven_by_verify_and_well_for_the_doctor(
    served: Served, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, operator: str
) -> None:
    monkeypatch.setenv("KUBECONFIG", str(served.kubeconfig))
    fleet = Fleet(served.fake.store, {"gpu-1": 1, "gpu-2": 2, "cpu-1": 0}, operator)
    edited = tmp_path / "edited.yaml"
    thrown_away = "      devices: [0]\n      rename: nvidia.com/mine\n" if operator else ""
    edited.write_text(SHARING.replace("4", "6") + thrown_away)
    for config, many in ((SEED, 4), (str(edited), 6)):
        done = typed("apply", config, *IMAGE)
        assert not done.return_value, done.output
        assert proven(many)
        assert found_wrong() == []

    fleet.frozen.add("gpu-2")
    assert "gpu-2: nvidia.com/gpu: 12, not 8 yet" in str(
        typed("apply", SEED, "--timeout", "300ms").exception
    )
    assert "gpu-2: offers 12 nvidia.com/gpu, and key any of" in typed("verify", "--no-smoke").output
    if operator:  # an agent of its own may take a minute to follow an edit
        assert found_wrong() == [("allocatable-unlike-config", "Node gpu-2")]


def proven(many: int) -> bool:
    """Verify says that each GPU has so many replicas."""
    done = typed("verify", "--no-smoke", "-o", "json")
    targets = json.loads(done.output)["targets"]
    assert [(t["node"], t["resource"], t["should_offer"], t["offers"]) for t in targets] == [
        ("gpu-1", GPU, many, many), ("gpu-2", GPU, 2 * many, 2 * many),
    ]  # fmt: skip
    assert all(t["told_by"].startswith("key any of ") for t in targets)
    return not done.return_value


def found_wrong() -> list[tuple[str, str]]:
    """What the doctor calls an error, and in which object; but for what NVIDIA's plugin ignores."""
    done = typed("doctor", "-o", "json")
    findings = [f for f in json.loads(done.output)["findings"] if "by-nvidia" not in f["id"]]
    assert done.return_value == int(bool(findings))
    return [(f["id"], f["object"]) for f in findings]


def typed(*args: str) -> Result:
    return CliRunner().invoke(app, args, standalone_mode=False)


def test_a_dry_run_shows_the_difference_and_counts(rota: Rota, served: Served) -> None:
    version = served.fake.store.version
    done = rota("apply", SEED, *IMAGE, "--dry-run", "--diff")
    assert "+++ then/ConfigMap gpu-operator-resources/time-slicing-config" in done.output
    assert done.output.endswith("nothing was changed: 9 would be made, 0 set, 0 are the same\n")
    judged = rota("apply", SEED, *IMAGE, "--dry-run=server")
    assert "nothing was changed: 9 would be made" in judged.output
    assert served.fake.store.version == version


def test_a_bad_config_is_shown_and_not_applied(rota: Rota, served: Served, tmp_path: Path) -> None:
    bad = tmp_path / "bad.yaml"
    bad.write_text(Path(SEED).read_text().replace("replicas: 4", "replicas: 1"))
    version = served.fake.store.version
    done = rota("apply", str(bad), *IMAGE)
    assert done.return_value == 1
    assert "bad.yaml:14:" in done.output
    assert "nothing was applied" in done.output
    assert served.fake.store.version == version


def test_a_warning_is_shown_and_the_config_applied(rota: Rota, tmp_path: Path) -> None:
    odd = tmp_path / "odd.yaml"
    odd.write_text(
        "version: v1\nsharing: {timeSlicing: {resources: [{name: nvidia.com/gpu, replicas: 3}]}}\nfoo: 1\n"
    )
    done = rota("apply", str(odd), *IMAGE)
    assert not done.return_value
    assert "unknown-key" in done.output
    assert "nvidia.com/gpu: 3" in done.output


def test_a_config_of_several_keys_wants_a_default(rota: Rota, tmp_path: Path) -> None:
    several = tmp_path / "several.yaml"
    text = Path(SEED).read_text()
    body = text[text.index("    version") :]
    several.write_text(f"{text}  many: |\n{body.replace('replicas: 4', 'replicas: 8')}")
    refused = rota("apply", str(several), *IMAGE)
    assert "several configs (any, many)" in str(refused.exception)
    done = rota("apply", str(several), *IMAGE, "--set", "configKey=many")
    assert "nvidia.com/gpu: 16" in done.output


@pytest.mark.parametrize(
    ("args", "word"),
    [
        (("apply", "none.yaml"), "none.yaml"),
        (("apply", str(ROOT / "examples")), "is a folder"),
        (("apply", str(ROOT / "README.md")), "has no config in it, but a text"),
        (("apply", str(ROOT / "examples/03-cluster/2-quota.yaml")), "but a ResourceQuota"),
        (("apply", SEED), "no registry has"),
        (("apply", SEED, *IMAGE, "--component", "cdii"), "no component 'cdii'"),
        (("apply", SEED, *IMAGE, "--set", "configKey=x"), "has no key `x`"),
        (("apply", SEED, *IMAGE, "--overlay", "gpu-operator"), "no ClusterPolicy"),
    ],
)
def test_what_cannot_be_is_said(rota: Rota, args: tuple[str, ...], word: str) -> None:
    error = rota(*args).exception
    assert isinstance(error, RotaError)
    assert word in str(error)


def test_an_absent_and_a_slow_server_are_told(rota: Rota, served: Served) -> None:
    served.fake.delay = 30.0
    for command in (("apply", SEED, *IMAGE), ("rollback",)):
        error = rota(*command, "--request-timeout", "200ms").exception
        assert "no answer in time" in str(error)
    served.stop()
    for command in (("apply", SEED, *IMAGE), ("rollback",)):
        assert "cannot be reached" in str(rota(*command).exception)


def test_kubectl_finds_it_as_a_plugin() -> None:
    scripts = (ROOT / "pyproject.toml").read_text()
    assert 'kubectl-rota = "rota.cli.main:main"' in scripts


def test_rollback_takes_no_namespace_since_it_would_not_heed_it(rota: Rota) -> None:
    assert "No such option" in str(rota("rollback", "-n", "team").exception)
