"""Keys change which clients are shown, and in which order."""

from __future__ import annotations

import pytest

from rota.top.choice import Choice
from tests.top.scenes import NODE


def pressed(keys: str, choice: Choice | None = None) -> Choice:
    made = choice or Choice()
    for key in keys:
        made = made.press(key)
    return made


def names(choice: Choice) -> list[str]:
    return [one.pod.removeprefix("gpu-test-76d5c7bdf-") for one in choice.of(NODE.clients)]


@pytest.mark.parametrize(
    ("keys", "order"),
    [
        ("", ["abcde", "fghij", "notebook-0", "sim"]),
        ("g", ["abcde", "fghij", "sim", "notebook-0"]),
        ("gr", ["notebook-0", "sim", "fghij", "abcde"]),
        ("w", ["fghij", "abcde", "notebook-0", "sim"]),
        ("m", ["abcde", "fghij", "sim", "notebook-0"]),
        ("s", ["abcde", "fghij", "sim", "notebook-0"]),
        ("gn", ["abcde", "fghij", "notebook-0", "sim"]),
    ],
)
def test_a_key_for_each_order(keys: str, order: list[str]) -> None:
    assert names(pressed(keys)) == order


def test_a_filter_is_typed_kept_and_left() -> None:
    assert names(pressed("/gpu-TEST\x7f\x7fst")) == ["abcde", "fghij"]
    kept = pressed("/waits\rq")
    assert names(kept) == ["fghij"]
    assert kept.quit
    assert not kept.typing
    assert len(names(pressed("\x1b", kept))) == 4
    assert pressed("/q\x1b") == Choice()


def test_while_a_filter_is_typed_keys_are_letters() -> None:
    assert pressed("/qpr").text == "qpr"
    assert not pressed("/qpr").quit


def test_a_namespace_is_of_pods_only() -> None:
    assert names(Choice("teaching")) == ["notebook-0"]


def test_pause_and_unknown_keys() -> None:
    assert pressed("p").paused
    assert not pressed("p ").paused
    assert pressed("x\tÿ") == Choice()
