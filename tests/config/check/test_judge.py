"""Whole set-ups: the example is well, and nothing that anybody writes makes a traceback."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rota.config.check import Report, check
from rota.config.check.registry import SECTIONS
from rota.config.check.text import shown
from rota.config.findings import Level
from rota.errors import RotaError

EXAMPLE = Path(__file__).parents[3] / "examples" / "01-seed"

QUICK = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True
)

WORDS = st.sampled_from(
    """version v1 sharing timeSlicing mps resources name nvidia.com/gpu replicas devices rename rota
    flags kind ConfigMap ClusterPolicy Pod Deployment List ResourceQuota Kustomization metadata
    namespace data spec devicePlugin config default items template containers limits requests hard
    patches patch target path op value add remove configMapGenerator files literals namePrefix
    bases ../a . any=b a=b - /spec/a memory limit none turns quantum 100ms env
    NVIDIA_VISIBLE_DEVICES""".split()  # noqa: SIM905
)
SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(-5, 2000), st.floats(), WORDS, st.text(max_size=8)
)
TREES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(WORDS, inner, max_size=5),
    max_leaves=25,
)


def judged(text: bytes) -> Report | None:
    try:
        return check(["-"], io.BytesIO(text))
    except RotaError:
        return None


def test_the_example_is_well_even_strictly() -> None:
    report = check([str(EXAMPLE)], io.BytesIO())
    assert report.findings == ()
    assert report.exit_code(strict=True) == 0
    assert report.understood == (
        "nvidia.com/gpu × 4 per GPU, from key 'any' of ConfigMap "
        "gpu-operator-resources/time-slicing-config, the default of its policy",
        "4 pods of Deployment gpu-test ask for 1 nvidia.com/gpu each",
    )


def test_files_given_one_by_one_are_judged_like_their_folder() -> None:
    files = sorted(str(path) for path in EXAMPLE.iterdir())
    report = check(files, io.BytesIO())
    assert report.exit_code(strict=True) == 0


def test_a_file_given_twice_is_judged_once(checked: Callable[..., Report]) -> None:
    report = checked({"c.yaml": "version: v2\n"}, "c.yaml", "c.yaml")
    assert report.count(Level.ERROR) == 1


def test_standard_input_is_one_of_several(checked: Callable[..., Report]) -> None:
    pod = b"kind: Pod\nspec: {containers: [{name: c, resources: {limits: {nvidia.com/gpu: 99}}}]}\n"
    config = "version: v1\nsharing: {timeSlicing: {resources: [{name: gpu, replicas: 2}]}}\n"
    report = checked({"c.yaml": config}, "c.yaml", "-", stdin=pod)
    assert [f"{f.mark} {f.id}" for f in report.findings if f.level is Level.ERROR] == [
        "<stdin>:2:68 request-too-many"
    ]


def test_yaml_in_a_page_is_read_at_its_place(checked: Callable[..., Report]) -> None:
    page = "# Use\n\n   ```yaml\n   kind: Pod\n   spec:\n     containers:\n     - name: c\n       resources: {requests: {nvidia.com/gpu: 1}}\n   ```\n"
    report = checked({"README.md": page})
    assert [f"{f.mark} {f.id}" for f in report.findings] == ["README.md:8:47 request-without-limit"]


def test_a_template_in_a_folder_is_noted_and_not_read(checked: Callable[..., Report]) -> None:
    report = checked({"t.yaml": "kind: ConfigMap\nmetadata:\n  name: {{ .Values.name }}\n"}, ".")
    assert [f.id for f in report.findings] == ["template"]


def test_files_of_a_folder_that_have_nothing_to_do_with_gpus_are_left_alone(
    checked: Callable[..., Report],
) -> None:
    report = checked({"a.yaml": "other: [", "b.yaml": "kind: Widget\n"}, ".")
    assert report.findings == ()


def test_one_document_in_a_large_file_is_judged_at_its_place(
    checked: Callable[..., Report],
) -> None:
    other = "kind: Service\nmetadata: {name: s}\n---\n"
    pod = "kind: Pod\nspec: {containers: [{name: c, resources: {requests: {nvidia.com/gpu: 1}}}]}\n"
    report = checked({"all.yaml": other * 50 + pod}, ".")
    assert [f"{f.mark.line} {f.id}" for f in report.findings] == ["152 request-without-limit"]


@QUICK
@given(st.binary(max_size=300))
def test_any_bytes_give_findings_or_a_plain_refusal(raw: bytes) -> None:
    report = judged(raw)
    assert report is None or shown(report)


@QUICK
@given(TREES)
def test_any_tree_gives_findings_that_can_be_explained(tree: object) -> None:
    report = judged(json.dumps(tree).encode())
    assert report is not None
    assert {finding.id for finding in report.findings} <= set(SECTIONS)
    assert json.loads(json.dumps(report.plain())) == report.plain()


@QUICK
@given(TREES, TREES, st.text("kubectl deaph-nf'\"|;<$ \n\\cm/=", max_size=120))
def test_any_folder_gives_findings(root: object, other: object, script: str) -> None:
    with TemporaryDirectory() as folder:
        names = {"kustomization.yaml": root, "nvidia.json": [other, "nvidia"], "b": other}
        for name, tree in names.items():
            (Path(folder) / name).write_text(json.dumps(tree), encoding="utf-8")
        (Path(folder) / "go.sh").write_text(f"kubectl {script}", encoding="utf-8")
        (Path(folder) / "README.md").write_text(f"```\nkubectl {script}\n", encoding="utf-8")
        report = check([folder], io.BytesIO())
        assert {finding.id for finding in report.findings} <= set(SECTIONS)


KINDS = st.sampled_from(
    ["ConfigMap", "ClusterPolicy", "Pod", "Deployment", "ResourceQuota", "LimitRange", "List", "X"]
)


@QUICK
@given(KINDS, st.dictionaries(st.sampled_from(["metadata", "spec", "data", "items"]), TREES))
def test_any_object_gives_findings(kind: str, rest: dict[str, object]) -> None:
    report = judged(json.dumps({"kind": kind, **rest}).encode())
    assert report is not None


@pytest.mark.parametrize(
    "text",
    [
        b"[" * 100_000,
        b"a: " * 5_000,
        b"- " * 50_000,
        b"{a: " * 3_000,
        b"a: &a [*a]\n",
        b"a: &a [x,x,x]\nb: &b [*a,*a,*a]\nc: [*b,*b,*b]\n",
        b"\x00\x01\x02",
        b"kind: Pod\nspec: {containers: &c [{name: x, env: *c}]}\n",
        b"- {op: add, path: " + b"/a" * 5_000 + b", value: 1}\n",
        b"- {op: add, path: /" + b"9" * 5_000 + b", value: 1}\n",
        b"kind: Pod\nspec: {containers: [{resources: {limits: {nvidia.com/gpu: " + b"9" * 5000 + b"}}}]}",
        b"kind: Pod\nspec: {containers: [{resources: {limits: {nvidia.com/gpu: 1e99}}}]}",
    ],
    ids=range(12),
)  # fmt: skip
def test_texts_made_to_break_a_reader_break_nothing(text: bytes) -> None:
    report = judged(text)
    assert report is not None
    assert shown(report)
