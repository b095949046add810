"""Whatever the text is: it loads, or it is refused with a place, and nothing else ever happens."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from rota.config.findings import Finding, Level
from rota.config.keys import PLACES
from rota.config.load import ConfigError, Loaded, load_path, load_text

GOOD = """\
version: v1
flags:
  migStrategy: none
  plugin: {deviceListStrategy: [envvar], passDeviceSpecs: false}
resources:
  gpus: [{pattern: "*", name: nvidia.com/gpu}]
base: &base
  replicas: 4
sharing:
  timeSlicing:
    renameByDefault: false
    resources:
    - name: nvidia.com/gpu
      <<: *base
      devices: [0, "1"]
    - {name: gpu, replicas: 2, rename: big}
rota:
  turns: {quantum: 100ms, minimum: 5ms}
  memory: {reserve: 1Gi, oversubscribe: 1.5, hints: [jax]}
  paging: {enabled: true, hostMemory: 50%}
"""


def outcome(text: str) -> Loaded | tuple[Finding, ...]:
    """The config, or the findings of the refusal; whatever else is raised fails the test."""
    try:
        return load_text(text, "f")
    except ConfigError as error:
        assert str(error)  # noqa: PT017  (the other outcome is checked below)
        return error.findings


def judged(text: str) -> None:
    result = outcome(text)
    findings = result.findings if isinstance(result, Loaded) else result
    errors = [found for found in findings if found.level is Level.ERROR]
    assert bool(errors) is not isinstance(result, Loaded)
    lines = max(1, len(text.splitlines()))
    for found in findings:
        assert 1 <= found.mark.line <= lines + 1
        assert found.mark.column >= 1
        assert found.mark.file == "f"
        assert found.message
        assert "\n" not in found.message
    assert [found.mark.line for found in findings] == sorted(f.mark.line for f in findings)


@given(st.text())
@example("\ud800")
@example("\x00")
@example("\ufeff")
@example("%YAML 9.9\n---\n")
@example("!!timestamp x")
@example("? ")
@example("- - - -\n -")
@example("&a *a")
@example("<<: [[]]")
@example("a: \x85b")
def test_any_text(text: str) -> None:
    judged(text)


FLOW = ["{", "}", "[", "]", ",", ": ", "? ", "'", '"', "~", "1.5", "a", "sharing"]
BLOCK = ["\n", "  ", "- ", "|\n", ">", "#", "---\n", "...\n", "\t", "\r", "%TAG"]
LINKS = ["&x ", "*x", "<<", "!!str ", "!!int "]
YAML_BITS = st.sampled_from([*FLOW, *BLOCK, *LINKS])


@given(st.lists(YAML_BITS, max_size=25).map("".join))
def test_any_text_of_the_bits_that_yaml_is_made_of(text: str) -> None:
    judged(text)


KEYS = sorted({key for keys in PLACES.values() for key in keys})
WORDS = st.sampled_from(
    [*KEYS, "v1", "all", "gpu", "nvidia.com/gpu", "100ms", "4Gi", "50%", "auto", "none", "envvar"]
)
LEAVES = (
    st.none()
    | st.booleans()
    | st.integers(-3, 12)
    | st.integers()
    | st.floats()
    | WORDS
    | st.text(max_size=8)
)


def nested(depth: int) -> st.SearchStrategy[Any]:
    """Lists and maps of such leaves inside one another."""
    if depth == 0:
        return LEAVES
    inner = nested(depth - 1)
    keys = st.sampled_from(KEYS) | st.text(max_size=6)
    return LEAVES | st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=4)


NODES = nested(3)


def block(place: str) -> st.SearchStrategy[dict[str, Any]]:
    """A map as it could stand at this place, with any value under any of its keys."""
    fields: dict[str, st.SearchStrategy[Any]] = {}
    for key in PLACES[place]:
        below = f"{place}.{key}".lstrip(".")
        if below in PLACES:
            fields[key] = block(below) | LEAVES
        elif f"{below}[]" in PLACES:
            fields[key] = st.lists(block(f"{below}[]") | LEAVES, max_size=3) | LEAVES
        else:
            fields[key] = LEAVES | NODES
    return st.fixed_dictionaries({}, optional=fields)


@st.composite
def configs(draw: st.DrawFn) -> dict[str, Any]:
    """A tree in the shape of a config."""
    return draw(block(""))


@given(configs())
def test_any_tree_in_the_shape_of_a_config(tree: dict[str, Any]) -> None:
    judged(json.dumps(tree))


@given(NODES)
def test_any_tree_of_the_words_of_a_config(tree: object) -> None:
    judged(json.dumps(tree))


CUTS = st.lists(
    st.tuples(
        st.integers(0, len(GOOD)), st.integers(0, 6), st.text(max_size=3) | YAML_BITS | WORDS
    ),
    min_size=1,
    max_size=4,
)


@given(CUTS)
def test_any_change_of_a_good_config(cuts: list[tuple[int, int, str]]) -> None:
    text = GOOD
    for at, length, instead in cuts:
        text = text[:at] + instead + text[at + length :]
    judged(text)


@given(st.integers(0, 19), st.integers(0, 19))
def test_any_lines_left_out_of_a_good_config(first: int, last: int) -> None:
    lines = GOOD.splitlines(keepends=True)
    judged("".join(lines[:first] + lines[last:]))


def test_the_good_config_is_good() -> None:
    assert isinstance(outcome(GOOD), Loaded)


@given(st.binary() | st.text().map(lambda text: text.encode("utf-16", "surrogatepass")))
def test_any_bytes_in_a_file(data: bytes) -> None:
    with tempfile.TemporaryDirectory(prefix="rota") as folder:
        path = Path(folder) / "config.yaml"
        path.write_bytes(data)
        found: tuple[Finding, ...] = ()
        try:
            load_path(path)
        except ConfigError as error:
            found = error.errors
        assert all(finding.mark.line >= 1 for finding in found)


@pytest.mark.parametrize(
    "text",
    [
        "[" * 5_000,
        "{a: " * 500,
        "a: " + "'" * 100_000,
        "- " * 500,
        "a: " + "9" * 50_000,
        "a: 1e" + "9" * 50_000,
        "sharing: {timeSlicing: {resources: " + "[" * 99 + "]" * 99 + "}}",
        "x: " + "a" * 10_000_000,
        "\n" * 20_000,
    ],
    ids=lambda text: f"{text[:12]!r}…",
)
def test_giants(text: str) -> None:
    judged(text)


def test_a_giant_made_of_aliases() -> None:
    lines = ["a0: &a0 {name: gpu, replicas: 1}"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 12)]
    judged("\n".join([*lines, "sharing: {timeSlicing: {resources: *a11}}"]))
