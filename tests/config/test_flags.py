"""Who has the last word on a flag, and how its values are read."""

from __future__ import annotations

import pytest

from rota.config.findings import Level, Mark
from rota.config.flags import BY_PATH, TABLE, FileValue, Flag, Value, resolve
from rota.config.schema import Flags

OTHER: dict[str, Value] = {
    "mig_strategy": "mixed",
    "fail_on_init_error": False,
    "nvidia_driver_root": "/run/nvidia/driver",
    "pass_device_specs": True,
    "device_list_strategy": ("volume-mounts", "cdi-cri"),
    "device_id_strategy": "index",
    "cdi_annotation_prefix": "example.com/",
    "shared_devices_allocation_policy": "packed",
}
"""For each flag a value that is not its default."""


def as_env(value: Value) -> str:
    if isinstance(value, bool):
        return str(value)
    return value if isinstance(value, str) else ",".join(value)


def in_file(flag: Flag, value: Value) -> dict[str, FileValue]:
    return {flag.path: FileValue(value, Mark("f", 3, 5))}


def test_nobody_says_anything_and_the_defaults_hold() -> None:
    flags, findings = resolve({}, {}, {})
    assert flags == Flags()
    assert findings == ()
    assert all(getattr(flags, flag.name) == flag.default for flag in TABLE)


def test_the_names_are_nvidias() -> None:
    assert {flag.env for flag in TABLE} == {
        "MIG_STRATEGY",
        "FAIL_ON_INIT_ERROR",
        "NVIDIA_DRIVER_ROOT",
        "PASS_DEVICE_SPECS",
        "DEVICE_LIST_STRATEGY",
        "DEVICE_ID_STRATEGY",
        "CDI_ANNOTATION_PREFIX",
        "SHARED_DEVICES_ALLOCATION_POLICY",
    }
    strategy = BY_PATH["flags.migStrategy"]
    assert strategy.declarations == ("--mig-strategy", "mig_strategy")
    on_error = BY_PATH["flags.failOnInitError"]
    assert on_error.declarations[0] == "--fail-on-init-error/--no-fail-on-init-error"


@pytest.mark.parametrize("flag", TABLE, ids=lambda flag: flag.name)
def test_the_command_line_goes_before_env_before_the_file_before_the_default(flag: Flag) -> None:
    value, default = OTHER[flag.name], flag.default
    by_file, _ = resolve({}, {}, in_file(flag, value))
    assert getattr(by_file, flag.name) == value
    by_env, _ = resolve({}, {flag.env: as_env(value)}, in_file(flag, default))
    assert getattr(by_env, flag.name) == value
    by_cli, _ = resolve({flag.name: value}, {flag.env: as_env(default)}, in_file(flag, default))
    assert getattr(by_cli, flag.name) == value
    not_given, _ = resolve({flag.name: None}, {flag.env: as_env(value)}, {})
    assert getattr(not_given, flag.name) == value


@pytest.mark.parametrize("text", ["1", "t", "T", "TRUE", "true", "True"])
def test_go_reads_true(text: str) -> None:
    assert resolve({}, {"PASS_DEVICE_SPECS": text}, {})[0].pass_device_specs is True


@pytest.mark.parametrize("text", ["0", "f", "F", "FALSE", "false", "False", ""])
def test_go_reads_false_also_from_a_variable_that_is_set_but_empty(text: str) -> None:
    assert resolve({}, {"FAIL_ON_INIT_ERROR": text}, {})[0].fail_on_init_error is False


@pytest.mark.parametrize("text", ["yes", "on", "TrUe", " true", "2"])
def test_what_go_does_not_read_is_an_error_that_names_the_variable(text: str) -> None:
    _, (finding,) = resolve({}, {"FAIL_ON_INIT_ERROR": text}, {})
    assert (finding.id, finding.level) == ("bad-env-value", Level.ERROR)
    assert finding.mark == Mark("env FAIL_ON_INIT_ERROR")


def test_a_list_in_env_is_split_at_commas() -> None:
    flags, _ = resolve({}, {"DEVICE_LIST_STRATEGY": "envvar, cdi-cri"}, {})
    assert flags.device_list_strategy == ("envvar", "cdi-cri")


def test_one_strategy_in_the_file_is_a_list_of_one() -> None:
    flag = BY_PATH["flags.plugin.deviceListStrategy"]
    flags, findings = resolve({}, {}, in_file(flag, "cdi-cri"))
    assert flags.device_list_strategy == ("cdi-cri",)
    assert findings == ()


def test_one_strategy_on_the_command_line_is_a_list_of_one_and_none_is_not_given() -> None:
    assert resolve({"device_list_strategy": ["cdi-cri"]}, {}, {})[0].device_list_strategy == (
        "cdi-cri",
    )
    assert resolve({"device_list_strategy": ()}, {}, {})[0] == Flags()


@pytest.mark.parametrize(
    "flag", [flag for flag in TABLE if flag.choices], ids=lambda flag: flag.name
)
def test_a_value_that_is_no_choice_is_an_error_with_the_nearest(flag: Flag) -> None:
    for cli, env, values, file in (
        ({flag.name: flag.choices[0] + "x"}, {}, {}, f"option {flag.option}"),
        ({}, {flag.env: flag.choices[0] + "x"}, {}, f"env {flag.env}"),
        ({}, {}, in_file(flag, flag.choices[0] + "x"), "f"),
    ):
        _, (finding,) = resolve(cli, env, values)
        assert (finding.id, finding.level) == ("bad-flag-value", Level.ERROR)
        assert finding.mark.file == file
        assert finding.hint == f"did you mean `{flag.choices[0]}`?"


def test_env_over_another_value_of_the_file_is_noted_where_the_file_says_it() -> None:
    flag = BY_PATH["flags.migStrategy"]
    _, (note,) = resolve({}, {"MIG_STRATEGY": "mixed"}, in_file(flag, "single"))
    assert (note.id, note.level, note.mark) == ("flag-overruled", Level.NOTE, Mark("f", 3, 5))
    assert "MIG_STRATEGY" in note.message
    assert "`mixed` instead of `single`" in note.message


def test_env_over_the_same_value_is_nothing_to_note() -> None:
    flag = BY_PATH["flags.plugin.deviceListStrategy"]
    assert resolve({}, {"DEVICE_LIST_STRATEGY": "envvar"}, in_file(flag, "envvar"))[1] == ()


def test_an_overruled_value_need_not_even_be_right() -> None:
    flag = BY_PATH["flags.migStrategy"]
    flags, findings = resolve({"mig_strategy": "none"}, {}, in_file(flag, "rubbish"))
    assert flags.mig_strategy == "none"
    assert [found.level for found in findings] == [Level.NOTE]


def test_it_is_known_whether_somebody_set_the_policy() -> None:
    assert not resolve({}, {}, {})[0].policy_set
    name = "SHARED_DEVICES_ALLOCATION_POLICY"
    assert resolve({}, {name: "distributed"}, {})[0].policy_set
    assert not resolve({}, {name: "rubbish"}, {})[0].policy_set


def test_an_empty_driver_root_is_the_default() -> None:
    assert resolve({}, {"NVIDIA_DRIVER_ROOT": ""}, {})[0].nvidia_driver_root == "/"
