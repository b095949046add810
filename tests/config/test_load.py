"""What a config means once loaded, what is said about its laxness, and where files come from."""

from __future__ import annotations

import os
import textwrap
from pathlib import Path

import pytest

from rota.config.findings import Finding, Level, Mark
from rota.config.load import MAX_BYTES, ConfigError, Loaded, config_file, load_path
from rota.config.load import load_text as load
from rota.config.schema import Config, DeviceSelection, ResourcePattern, SharedResource, Sharing
from rota.errors import UsageError

GOOD = """\
version: v1
sharing:
  timeSlicing:
    resources:
    - name: nvidia.com/gpu
      replicas: 4
"""


def loaded(text: str) -> Loaded:
    return load(textwrap.dedent(text), "f")


def said(text: str) -> dict[str, Finding]:
    """The findings by their rule, notes about nothing to share left out."""
    quiet = ("no-version", "nothing-shared")
    return {found.id: found for found in loaded(text).findings if found.id not in quiet}


def errors(text: str) -> tuple[Finding, ...]:
    with pytest.raises(ConfigError) as caught:
        loaded(text)
    return caught.value.errors


def test_the_usual_config_shares_and_nothing_is_said_about_it() -> None:
    read = loaded(GOOD)
    shared = SharedResource("nvidia.com/gpu", 4, line=5)
    assert read.config == Config(sharing=Sharing("time-slicing", resources=(shared,)))
    assert read.findings == ()


def test_an_empty_text_shares_nothing_and_notes_it() -> None:
    read = loaded("")
    assert read.config == Config()
    assert [found.id for found in read.findings] == ["no-version", "nothing-shared"]
    assert {found.level for found in read.findings} == {Level.NOTE}


def test_every_field_of_a_sharing_block_is_kept() -> None:
    text = """\
    version: v1
    resources:
      gpus: [{pattern: "*H200*", name: h200}]
      mig: [{pattern: "1g.*", name: nvidia.com/mig}]
    sharing:
      timeSlicing:
        renameByDefault: true
        failRequestsGreaterThanOne: true
        resources:
        - {name: gpu, replicas: 4, devices: [0, "1:0"]}
        - {name: gpu, replicas: 2, devices: 3, rename: rest}
    """
    config = loaded(text).config
    assert config.gpu_patterns == (ResourcePattern("*H200*", "nvidia.com/h200"),)
    assert config.mig_patterns == (ResourcePattern("1g.*", "nvidia.com/mig"),)
    assert config.sharing.rename_by_default
    assert config.sharing.fail_requests_greater_than_one
    first, second = config.sharing.resources
    assert first.devices == DeviceSelection(all=False, items=("0", "1:0"))
    assert second.devices == DeviceSelection(all=False, count=3)
    assert second.rename == "nvidia.com/rest"


def test_what_nvidia_throws_away_is_noted() -> None:
    found = said("""\
    version: v1
    resources:
      gpus: [{pattern: "*", name: gpu}]
    sharing:
      timeSlicing:
        resources:
        - name: gpu
          replicas: 4
          devices: [0]
          rename: big
    """)
    assert {rule: note.mark.line for rule, note in found.items()} == {
        "resources-ignored-by-nvidia": 3,
        "devices-ignored-by-nvidia": 9,
        "rename-ignored-by-nvidia": 10,
    }
    assert {note.level for note in found.values()} == {Level.NOTE}


def test_a_rename_to_what_renaming_by_default_makes_is_nothing_to_note() -> None:
    block = "renameByDefault: true, resources: [{name: gpu, replicas: 2, rename: gpu.shared}]"
    assert said(f"sharing: {{timeSlicing: {{{block}}}}}") == {}


def test_mps_wins_is_served_as_replicas_and_refuses_two_by_default() -> None:
    text = """\
    sharing:
      timeSlicing: {resources: [{name: gpu, replicas: 2}]}
      mps: {resources: [{name: gpu, replicas: 3}]}
    """
    sharing = loaded(text).config.sharing
    assert sharing.strategy == "mps"
    assert sharing.fail_requests_greater_than_one
    assert sharing.resources[0].replicas == 3
    found = said(text)
    assert found["mps-wins"].mark == Mark("f", 2, 3)
    assert found["mps-served-as-replicas"].mark == Mark("f", 3, 3)


def test_a_mistake_in_the_block_that_loses_is_still_a_mistake() -> None:
    (error,) = errors("sharing: {timeSlicing: {}, mps: {resources: [{name: a, replicas: 2}]}}")
    assert error.id == "no-resources"


@pytest.mark.parametrize(
    ("text", "rule", "mark", "hint"),
    [
        ("shareing: {}", "unknown-key", Mark("f", 1, 1), "did you mean `sharing`?"),
        ("qqq: 1", "unknown-key", Mark("f", 1, 1), "known there: version, flags"),
        ("Flags: {}", "key-case", Mark("f", 1, 1), "write `flags`"),
        ("flags: {}\nflags: {}", "double-key", Mark("f", 2, 1), "keep one"),
        ("flags: {}\nFlags: {}", "double-key", Mark("f", 2, 1), "keep one"),
        ("version: v1\n---\na: 1", "second-document", Mark("f", 3, 1), "one document"),
        (
            "flags: {renameByDefault: true}",
            "misplaced-key",
            Mark("f", 1, 9),
            "`renameByDefault` belongs under `sharing.timeSlicing`",
        ),
        ("timeSlicing: {}", "misplaced-key", Mark("f", 1, 1), "belongs under `sharing`"),
        ("mps: {}", "misplaced-key", Mark("f", 1, 1), "belongs under `sharing`"),
        ("migStrategy: none", "misplaced-key", Mark("f", 1, 1), "belongs under `flags`"),
        (
            "replicas: 4",
            "misplaced-key",
            Mark("f", 1, 1),
            "belongs in an entry of `sharing.timeSlicing.resources`",
        ),
        (
            "sharing: {resources: []}",
            "misplaced-key",
            Mark("f", 1, 11),
            "belongs under `sharing.timeSlicing`",
        ),
        (
            "flags: {passDeviceSpecs: true}",
            "misplaced-key",
            Mark("f", 1, 9),
            "belongs under `flags.plugin`",
        ),
        ("turns: {}", "misplaced-key", Mark("f", 1, 1), "belongs under `rota`"),
        ("quantum: 5ms", "misplaced-key", Mark("f", 1, 1), "belongs under `rota.turns`"),
        ("sharing: {time-slicing: {}}", "unknown-key", Mark("f", 1, 11), "`timeSlicing`?"),
        (
            "flags: {plugin: {deviceListStrategy: []}}",
            "no-device-list-strategy",
            Mark("f", 1, 38),
            "",
        ),
    ],
)
def test_laxness_is_a_warning_with_the_right_key(
    text: str, rule: str, mark: Mark, hint: str
) -> None:
    found = said(text)[rule]
    assert (found.level, found.mark) == (Level.WARNING, mark)
    assert hint in found.hint


@pytest.mark.parametrize(
    ("extra", "rule", "hint"),
    [
        ("Devices: 1", "key-case", "write `devices`"),
        ("renam: a", "unknown-key", "did you mean `rename`?"),
        ("renameByDefault: true", "misplaced-key", "belongs under `sharing.timeSlicing`"),
        ("replicas: 3", "double-key", "keep one"),
        ("devices: []", "no-devices", "write `all`"),
    ],
)
def test_laxness_in_an_entry_is_a_warning_too(extra: str, rule: str, hint: str) -> None:
    found = said(GOOD + f"      {extra}\n")[rule]
    assert found.level is Level.WARNING
    assert hint in found.hint


def test_the_same_resource_twice_is_a_warning_unless_the_devices_differ() -> None:
    again = "    - name: gpu\n      replicas: 8\n"
    found = said(GOOD + again)["same-resource-twice"]
    assert (found.mark, "line 5" in found.message) == (Mark("f", 7, 7), True)
    assert "same-resource-twice" not in said(GOOD + again + "      devices: [1]\n")


def test_flags_and_imex_that_rota_does_not_act_on_are_noted() -> None:
    found = said("flags: {gdsEnabled: true}\nimex: {channelIDs: [0]}")
    assert found["flag-not-acted-on"].message == "Rota does not act on `flags.gdsEnabled`"
    assert found["imex-not-acted-on"].mark == Mark("f", 2, 1)


def test_every_mistake_of_a_text_is_told_at_once_and_in_its_order() -> None:
    text = """\
    version: v3
    flags: {migStrategy: all, failOnInitError: "yes"}
    sharing:
      timeSlicing:
        resources:
        - name: example.com/gpu
          replicas: 1
        - replicas: few
    rota: {turns: {quantum: 5}}
    colour: red
    """
    with pytest.raises(ConfigError) as caught:
        loaded(text)
    problem = caught.value
    places = [(found.id, found.mark.line) for found in problem.errors]
    assert places == [
        ("unknown-version", 1),
        ("bad-flag-value", 2),
        ("wrong-type", 2),
        ("bad-resource-name", 6),
        ("too-few-replicas", 7),
        ("no-resource-name", 8),
        ("wrong-type", 8),
        ("bad-value", 9),
    ]
    assert [found.id for found in problem.findings if found not in problem.errors] == [
        "unknown-key"
    ]
    lines = str(problem).splitlines()
    assert lines[0] == "f:1:10: unknown version: v3 (write `version: v1`)"
    assert len(lines) == 8


def test_a_mistake_under_an_anchor_that_is_used_twice_is_told_once() -> None:
    text = "a: &a {name: gpu, replicas: 1}\nsharing: {timeSlicing: {resources: [*a, *a]}}"
    assert len(errors(text)) == 1


def test_a_config_that_is_part_of_a_larger_text_keeps_its_places() -> None:
    with pytest.raises(ConfigError) as caught:
        load("version: v1\nrota: {turn: 1}", "cm.yaml", origin=Mark("cm.yaml", 7, 5))
    assert caught.value.errors[0].mark == Mark("cm.yaml", 8, 12)


def test_what_is_too_large_is_refused_at_once() -> None:
    with pytest.raises(ConfigError, match="larger than 1 MiB"):
        load("a" * (MAX_BYTES + 1), "f")


def test_many_warnings_are_all_kept() -> None:
    read = load("".join(f"k{n}: 1\n" for n in range(500)), "f")
    assert len(read.findings) == 502


def test_a_file_is_loaded_and_named_in_messages(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(GOOD, "utf-8")
    assert load_path(path) == load(GOOD, str(path))
    path.write_text("version: v2", "utf-8")
    with pytest.raises(ConfigError) as caught:
        load_path(str(path))
    assert caught.value.where == f"{path}:1:10"


def test_bytes_that_are_no_utf8_are_refused_at_their_place(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_bytes(b"version: v1\nname: \xff\n")
    with pytest.raises(ConfigError, match="0xFF") as caught:
        load_path(path)
    assert caught.value.errors[0].mark == Mark(str(path), 2, 7)


def test_utf16_with_its_mark_is_read_as_go_reads_it(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_bytes(GOOD.encode("utf-16"))
    assert load_path(path).config == loaded(GOOD).config


def test_a_file_larger_than_any_configmap_is_not_even_read(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_bytes("é".encode() * MAX_BYTES * 5)
    with pytest.raises(ConfigError, match="larger than 1 MiB"):
        load_path(path)


def test_a_file_that_is_not_there_is_wrong_usage_with_the_nearest_name(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text("", "utf-8")
    with pytest.raises(UsageError, match="cannot be read") as caught:
        load_path(tmp_path / "confg.yaml")
    assert str(tmp_path / "config.yaml") in caught.value.hint
    with pytest.raises(UsageError, match="cannot be read"):
        load_path(tmp_path / "no" / "such")
    with pytest.raises(UsageError, match="cannot be read"):
        load_path("nul\0byte")


@pytest.fixture
def mounted(tmp_path: Path) -> Path:
    """A folder as the kubelet mounts a ConfigMap: keys are links through `..data`."""
    real = tmp_path / "..2026_11_25"
    real.mkdir()
    (real / "one.yaml").write_text(GOOD, "utf-8")
    (tmp_path / "..data").symlink_to(real.name)
    (tmp_path / "one.yaml").symlink_to("..data/one.yaml")
    return tmp_path


def test_a_mounted_folder_with_one_key_needs_no_choice(mounted: Path) -> None:
    assert load_path(mounted).config == loaded(GOOD).config
    assert config_file(mounted) == mounted / "one.yaml"


def test_of_several_keys_one_must_be_named(mounted: Path) -> None:
    (mounted / "two.yaml").write_text("", "utf-8")
    with pytest.raises(UsageError, match=r"one\.yaml, two\.yaml") as caught:
        load_path(mounted)
    assert str(mounted / "one.yaml") in caught.value.hint
    assert load_path(mounted, key="two.yaml").config == Config()
    assert load_path(mounted / "two.yaml").config == Config()
    with pytest.raises(UsageError, match="no key `three`") as caught:
        load_path(mounted, key="three")
    assert "`one.yaml` or `two.yaml`" in caught.value.hint


def test_an_empty_folder_has_no_config(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no config in it"):
        load_path(tmp_path)


def test_flags_from_all_sides_reach_the_config() -> None:
    read = load(
        "flags: {migStrategy: single, failOnInitError: false}",
        "f",
        cli={"device_id_strategy": "index", "mig_strategy": None},
        env={"MIG_STRATEGY": "mixed"},
    )
    assert read.config.flags.mig_strategy == "mixed"
    assert read.config.flags.device_id_strategy == "index"
    assert read.config.flags.fail_on_init_error is False


def test_a_wrong_variable_is_an_error_that_names_it() -> None:
    with pytest.raises(ConfigError, match="env MIG_STRATEGY") as caught:
        load(GOOD, "f", env={"MIG_STRATEGY": "triple"})
    assert caught.value.errors[0].mark == Mark("env MIG_STRATEGY")


def test_what_may_never_answer_is_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(UsageError, match="no regular file"):
        load_path(tmp_path / "pipe")


def test_a_shells_pipe_is_read() -> None:
    reading, writing = os.pipe()
    with os.fdopen(reading), os.fdopen(writing, "w") as sink:
        sink.write(GOOD)
        sink.close()
        assert load_path(f"/dev/fd/{reading}").config.sharing.strategy == "time-slicing"
