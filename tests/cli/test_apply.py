"""`rota apply` and `rota rollback` as a person types them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from rota.cli.main import app
from rota.errors import RotaError
from tests.cluster.fake.fleet import Fleet
from tests.cluster.served import Served

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
