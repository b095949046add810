"""What puts Rota into a cluster: the same for kustomize and for `rota manifests`, and valid."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
from click.testing import CliRunner
from ruamel.yaml import YAML

from rota.agent.settings import CDI_DIR, KUBELET_DIR
from rota.cli.agent import command as agent
from rota.cli.gatekeeper import command as gatekeeper
from rota.cli.manifests import command
from rota.deploy.build import files
from rota.deploy.daemonset import REASONS, daemon_set
from rota.deploy.manifests import manifests, policy_change
from rota.deploy.options import COMPONENTS, EXAMPLE, OPERATOR, OVERLAYS, SETTABLE, Options, chosen
from rota.deploy.text import to_yaml
from rota.errors import UsageError
from rota.gatekeeper.server import socket_path

ROOT = Path(__file__).parents[2]
MINORS = ("1.34", "1.35", "1.36", "1.37")
"""The last four minor versions of Kubernetes."""

Thing = dict[str, Any]


def parsed(text: str) -> list[Thing]:
    return list(YAML(typ="safe").load_all(text))


def by_name(things: list[Thing]) -> dict[tuple[str, str], Thing]:
    return {(one["kind"], one["metadata"]["name"]): one for one in things}


def printed(*args: str) -> list[Thing]:
    done = CliRunner().invoke(command, args, catch_exceptions=False)
    assert done.exit_code == 0
    return parsed(done.output)


def test_the_files_are_what_the_code_makes() -> None:
    kept = {name: (ROOT / name).read_text() for name in files()}
    assert kept == files(), "run python -m rota.deploy.build"
    here = {str(path.relative_to(ROOT)) for path in (ROOT / "deploy" / "base").iterdir()}
    assert here <= files().keys()


def test_only_where_a_config_says_so_pods_may_be_evicted() -> None:
    evicting = EXAMPLE + "rota: {memory: {enforce: report, evict: true}}\n"
    for data, rights in (({"any": EXAMPLE}, []), ({"any": EXAMPLE, "b": evicting}, [["create"]])):
        role = by_name(manifests(Options(data=data)))["ClusterRole", "rota"]
        found = [r["verbs"] for r in role["rules"] if "pods/eviction" in r["resources"]]
        assert found == rights


@pytest.mark.parametrize("minor", MINORS)
def test_every_object_is_valid(minor: str) -> None:
    """With every component; without them an object has less in it."""
    every = tuple(COMPONENTS)
    made = [manifests(Options(o, every, pull_secret="s")) for o in OVERLAYS]
    for thing in {json.dumps(one): one for things in made for one in things}.values():
        kubernetes_validate.validate(thing, minor, strict=True)


@pytest.mark.parametrize(
    "file", [*(ROOT / "examples").rglob("*.yaml")], ids=lambda path: str(path.relative_to(ROOT))
)
def test_every_example_is_valid(file: Path) -> None:
    known = ("v1", "apps/v1")
    for thing in parsed(file.read_text()):
        if thing and thing.get("apiVersion") in known:
            kubernetes_validate.validate(thing, MINORS[-1], strict=True)


@pytest.mark.xdist_group("kustomize")
class TestKustomize:
    """A real one makes of `deploy/` what `rota manifests` prints."""

    @pytest.fixture
    def deploy(self, tmp_path: Path) -> Path:
        shutil.copytree(ROOT / "deploy", tmp_path / "deploy")
        return tmp_path / "deploy"

    def build(self, kustomize: str, folder: Path) -> list[Thing]:
        ended = subprocess.run([kustomize, "build", folder], capture_output=True, text=True)
        assert ended.returncode == 0, ended.stderr
        return parsed(ended.stdout)

    @pytest.mark.parametrize("overlay", OVERLAYS)
    def test_each_overlay(self, kustomize: str, deploy: Path, overlay: str) -> None:
        built = self.build(kustomize, deploy / "overlays" / overlay)
        assert by_name(built) == by_name(printed("--overlay", overlay))

    @pytest.mark.parametrize("overlay", OVERLAYS)
    def test_in_another_namespace_with_another_image_and_every_component(
        self, kustomize: str, deploy: Path, overlay: str
    ) -> None:
        place = deploy / "overlays" / overlay / "kustomization.yaml"
        text = place.read_text().replace("namespace: gpu-operator-resources", "namespace: gpus")
        text = text.replace("newName: rota", "newName: here.example/rota")
        listed = [f"../../components/{name}" for name in COMPONENTS]
        place.write_text(f"{text}components: {json.dumps(listed)}\n")
        asked = [part for name in COMPONENTS for part in ("--component", name)]
        asked += ["--overlay", overlay, "-n", "gpus", "--image", "here.example/rota:0.1.0"]
        assert by_name(self.build(kustomize, place.parent)) == by_name(printed(*asked))

    def test_monitoring_beside_it(self, kustomize: str, deploy: Path) -> None:
        place = deploy / "overlays" / "standalone" / "kustomization.yaml"
        place.write_text(place.read_text() + "components: [../../monitoring]\n")
        built = by_name(self.build(kustomize, place.parent))
        assert ("ServiceMonitor", "rota") in built
        service = built["Service", "rota"]
        wanted = built["ServiceMonitor", "rota"]["spec"]["selector"]["matchLabels"]
        assert wanted.items() <= service["metadata"]["labels"].items()


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_the_containers_are_called_as_the_commands_take_it(overlay: str) -> None:
    options = Options(overlay=overlay, components=tuple(COMPONENTS))
    pod = daemon_set(options)["spec"]["template"]["spec"]
    for container, cli in zip(pod["containers"], (agent, gatekeeper), strict=True):
        name, *args = container["args"]
        assert name == container["name"]
        cli.make_context(name, [arg.replace("$(NAMESPACE)", "ns") for arg in args])
    mounted = {mount["mountPath"] for mount in pod["containers"][0]["volumeMounts"]}
    assert {str(KUBELET_DIR), str(CDI_DIR), "/run/rota"} <= mounted
    assert pod["containers"][1]["readinessProbe"]["exec"]["command"][-1] == str(
        socket_path(Path("/run/rota"))
    )


def test_every_right_says_why() -> None:
    text = to_yaml([daemon_set(Options())])
    for capability in re.findall(r"\n( +# [^\n]*\n)+ +- (\w+)\n", text):
        assert capability
    flat = re.sub(r"\n\s*#", "", text)
    for reason in REASONS.values():
        assert reason in flat
    assert flat.count("measured, root without it") == 2


def test_the_operators_policy_names_what_the_agent_reads() -> None:
    options = Options(overlay=OPERATOR, config_map="mine", config_key="few")
    config = policy_change("cluster-policy", options)["spec"]["devicePlugin"]["config"]
    args = daemon_set(options)["spec"]["template"]["spec"]["containers"][0]["args"]
    assert f"--config-map=$(NAMESPACE)/{config['name']}" in args
    assert f"--config-key={config['default']}" in args


def test_what_can_be_set_is_set() -> None:
    pairs = [f"{name}=x1" for name in SETTABLE if name not in ("port", "pullPolicy", "logLevel")]
    pairs += ["port=9500", "pullPolicy=Always", "logLevel=debug"]
    made = json.dumps(manifests(chosen(Options(overlay=OPERATOR), pairs)))
    for wanted in (
        '"runtimeClassName": "x1"',
        "9500",
        "Always",
        "--log-level=debug",
        "$(NAMESPACE)/x1",
    ):
        assert wanted in made
    assert "runtimeClassName" not in json.dumps(manifests(chosen(Options(), ["runtimeClass="])))


@pytest.mark.parametrize(
    ("pair", "word"),
    [
        ("prot=1", "write port=VALUE"),
        ("port=0", "1 to 65535"),
        ("port", "sets nothing"),
        ("pullPolicy=Sometimes", "IfNotPresent"),
        ("namespace=", "must not be empty"),
    ],
)
def test_what_cannot_be_set_is_refused_with_a_word(pair: str, word: str) -> None:
    with pytest.raises(UsageError, match=word):
        chosen(Options(), [pair])


def test_an_unknown_component_is_refused() -> None:
    with pytest.raises(UsageError, match="no component 'cdii'"):
        manifests(Options(components=("cdii",)))


def test_json_is_one_list() -> None:
    done = CliRunner().invoke(command, ["-o", "json"])
    assert json.loads(done.output)["items"] == manifests(Options())


def test_the_image_is_made_of_what_is_there() -> None:
    text = (ROOT / "deploy" / "Containerfile").read_text()
    for line in re.findall(r"^COPY (?!--from)(.+) \S+$", text, re.M):
        for name in line.split():
            assert (ROOT / name).exists()
    ignored = (ROOT / ".containerignore").read_text().splitlines()
    assert "!src" in ignored
