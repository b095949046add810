"""A ConfigMap's manifest where a config is expected."""

from __future__ import annotations

from pathlib import Path

import pytest

from rota.config.load import ConfigError, load_path
from rota.errors import UsageError

ONE = """apiVersion: v1
kind: ConfigMap
metadata: {name: time-slicing-config}
data:
  any: |
    version: v1
    sharing:
      timeSlicing:
        resources:
        - name: nvidia.com/gpu
          replicas: 4
"""


def written(tmp_path: Path, text: str) -> Path:
    file = tmp_path / "map.yaml"
    file.write_text(text)
    return file


def test_its_only_config_is_meant(tmp_path: Path) -> None:
    loaded = load_path(written(tmp_path, ONE))
    assert loaded.config.sharing.resources[0].replicas == 4
    assert loaded.findings == ()


def test_mistakes_inside_are_placed_in_the_file(tmp_path: Path) -> None:
    file = written(tmp_path, ONE.replace("replicas: 4", "replicas: 1"))
    with pytest.raises(ConfigError) as refused:
        load_path(file)
    assert str(refused.value.errors[0].mark) == f"{file}:11:21"


def test_of_several_one_is_chosen(tmp_path: Path) -> None:
    file = written(tmp_path, ONE + "  other: 'version: v1'\n")
    assert load_path(file, key="any").config.sharing.resources
    assert not load_path(file, key="other").config.sharing.resources
    with pytest.raises(UsageError, match="any, other"):
        load_path(file)
    with pytest.raises(UsageError, match="no key `x`"):
        load_path(file, key="x")


def test_an_empty_one_is_told(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no config in it"):
        load_path(written(tmp_path, "apiVersion: v1\nkind: ConfigMap\n"))


def test_a_config_that_only_speaks_of_one_is_a_config(tmp_path: Path) -> None:
    assert load_path(written(tmp_path, "version: v1 # from a ConfigMap\n")).findings


def test_a_plain_config_has_no_keys(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is one config"):
        load_path(written(tmp_path, "version: v1\n"), key="any")
