"""The key `rota`: every key with its default, and strictness."""

from __future__ import annotations

import pytest

from rota.config.findings import Finding, Level, Mark
from rota.config.load import ConfigError, load_text
from rota.config.schema import Allocation, Jobs, Memory, Paging, RotaSettings, Turns

DEFAULTS = """\
rota:
  turns:
    mode: exclusive
    quantum: 100ms
    minimum: 5ms
    unmanaged: allow
  allocation:
    policy: distributed
    spread: preferred
  memory:
    limit: share
    enforce: hard
    reserve: auto
    oversubscribe: 1.0
    evict: false
    hints: []
  paging:
    enabled: false
    idleAfter: 60s
    hostMemory: 50%
  jobs:
    quota: none
    quotas: {}
"""

OTHERS = """\
rota:
  turns: {mode: driver, quantum: 1s, minimum: 0s, unmanaged: gate}
  allocation: {policy: packed, spread: required}
  memory: {limit: none, enforce: report, reserve: 512Mi, oversubscribe: 2, evict: true,
           hints: [jax, cupy, pytorch, jax]}
  paging: {enabled: true, idleAfter: 1m30s, hostMemory: 64Gi}
  jobs: {quota: 2, quotas: {anna: 4, bob: none, carl: , dora: 0}}
"""


def settings(text: str) -> RotaSettings:
    return load_text(text, "f").config.rota


def error(text: str) -> Finding:
    with pytest.raises(ConfigError) as caught:
        load_text(text, "f")
    (only,) = caught.value.errors
    return only


def test_the_defaults_written_out_are_the_defaults() -> None:
    assert settings(DEFAULTS) == RotaSettings() == settings("")


@pytest.mark.parametrize("text", ["rota:", "rota: {}", "rota: {turns: , memory: {reserve: }}"])
def test_nothing_and_null_leave_the_defaults(text: str) -> None:
    assert settings(text) == RotaSettings()


def test_every_key_is_read() -> None:
    assert settings(OTHERS) == RotaSettings(
        Turns("driver", 1.0, 0.0, "gate"),
        Allocation("packed", "required"),
        Memory("none", "report", 512 << 20, 2.0, True, ("jax", "cupy", "pytorch")),
        Paging(True, 90.0, 64 << 30, 0.5),
        Jobs(2, (("anna", 4), ("bob", None), ("dora", 0))),
    )


def test_a_part_of_the_hosts_memory_is_a_percentage() -> None:
    paging = settings("rota: {paging: {hostMemory: 12.5%}}").paging
    assert (paging.host_memory_part, paging.host_memory_bytes) == (0.125, None)


def test_a_plain_number_is_a_size_in_bytes() -> None:
    assert settings("rota: {memory: {reserve: 1048576}}").memory.reserve == 1 << 20


def test_a_short_quantum_brings_the_default_minimum_down() -> None:
    turns = settings("rota: {turns: {quantum: 2ms}}").turns
    assert (turns.quantum, turns.minimum) == (0.002, 0.002)


@pytest.mark.parametrize(
    ("text", "rule", "column", "hint"),
    [
        ("rota: {turn: {}}", "unknown-key", 8, "did you mean `turns`?"),
        ("rota: {Turns: {}}", "key-case", 8, "write `turns`"),
        ("rota: {quantum: 1s}", "misplaced-key", 8, "belongs under `rota.turns`"),
        ("rota: {memory: {idleAfter: 1s}}", "misplaced-key", 17, "belongs under `rota.paging`"),
        ("rota: {turns: {quantums: 1s}}", "unknown-key", 16, "did you mean `quantum`?"),
        ("rota: yes", "wrong-type", 7, "key: value"),
        ("rota: {turns: []}", "wrong-type", 15, "key: value"),
        ("rota: {turns: {mode: exclusiv}}", "bad-value", 22, "did you mean `exclusive`?"),
        ("rota: {turns: {mode: zzz}}", "bad-value", 22, "write `exclusive` or `driver`"),
        ("rota: {turns: {mode: 1}}", "wrong-type", 22, "quotes"),
        ("rota: {turns: {quantum: 100}}", "bad-value", 25, "`100ms` or `100s`"),
        ("rota: {turns: {quantum: fast}}", "bad-value", 25, "`100ms`"),
        ("rota: {turns: {quantum: 0s}}", "bad-value", 25, "`100ms`"),
        ("rota: {turns: {quantum: -1s}}", "bad-value", 25, "`100ms`"),
        ("rota: {turns: {quantum: []}}", "wrong-type", 25, "`100ms`"),
        ("rota: {turns: {quantum: yes}}", "wrong-type", 25, "`100ms`"),
        ("rota: {turns: {minimum: 1s}}", "minimum-over-quantum", 25, "100ms at most"),
        ("rota: {memory: {reserve: lots}}", "bad-value", 26, "Gi"),
        ("rota: {memory: {reserve: 50%}}", "bad-value", 26, "Gi"),
        ("rota: {memory: {oversubscribe: 0.5}}", "bad-value", 32, "1.0"),
        ("rota: {memory: {oversubscribe: '2'}}", "wrong-type", 32, "`1.5`"),
        (
            "rota: {memory: {oversubscribe: 1.5}}",
            "oversubscribe-without-paging",
            32,
            "rota.paging.enabled: true",
        ),
        ("rota: {memory: {evict: maybe}}", "wrong-type", 24, "true or false"),
        ("rota: {memory: {hints: jax}}", "wrong-type", 24, "`- `"),
        ("rota: {memory: {hints: [jaxx]}}", "bad-value", 25, "did you mean `jax`?"),
        ("rota: {paging: {hostMemory: 150%}}", "bad-value", 29, "`100%` at most"),
        ("rota: {paging: {hostMemory: 0%}}", "bad-value", 29, "`50%`"),
        ("rota: {jobs: {quota: -1}}", "bad-value", 22, "0 or more"),
        ("rota: {jobs: {quota: some}}", "wrong-type", 22, "whole number"),
        ("rota: {jobs: {quotas: 3}}", "wrong-type", 23, "key: value"),
        ("rota: {jobs: {quotas: {anna: 1.5}}}", "wrong-type", 30, "whole number"),
        ("rota: {jobs: {quotes: {}}}", "unknown-key", 15, "did you mean `quotas`?"),
        ("rota: {paging: {enabled: 'true'}}", "wrong-type", 26, "remove the quotes"),
    ],
)
def test_what_is_wrong_is_an_error_at_its_place_with_a_way_out(
    text: str, rule: str, column: int, hint: str
) -> None:
    found = error(text)
    assert (found.id, found.mark) == (rule, Mark("f", 1, column))
    assert hint in found.hint


def test_a_double_key_is_a_warning_and_the_last_one_counts() -> None:
    loaded = load_text("rota: {turns: {quantum: 1s, quantum: 2s}}", "f")
    assert loaded.config.rota.turns.quantum == 2.0
    assert [(f.id, f.level) for f in loaded.findings if f.id == "double-key"] == [
        ("double-key", Level.WARNING)
    ]


def test_eviction_where_memory_is_enforced_anyway_is_a_warning() -> None:
    loaded = load_text("version: v1\nrota: {memory: {evict: true}}", "f")
    assert "evict-without-report" in [found.id for found in loaded.findings]


def test_a_user_with_two_quotas_gets_the_last_and_a_warning() -> None:
    loaded = load_text("version: v1\nrota: {jobs: {quotas: {anna: 1, anna: 2}}}", "f")
    assert loaded.config.rota.jobs.quotas == (("anna", 2),)
    assert "double-key" in [found.id for found in loaded.findings]
