"""NVIDIA's answers (device plugin v0.20), one text each, and that Rota's are the same.

A text that NVIDIA's parser accepts loads; what it says to one that it refuses stands beside the
rule by which Rota refuses it, at the right place.
"""

from __future__ import annotations

import pytest

from rota.config.findings import Level, Mark
from rota.config.load import ConfigError, load_text

UUID = "b1028956-cfa2-0990-bf4a-5da9abb51763"


def entry(fields: str) -> str:
    """A config that shares one resource with these fields."""
    return f"version: v1\nsharing: {{timeSlicing: {{resources: [{{{fields}}}]}}}}\n"


def devices(value: str) -> str:
    return entry(f"name: gpu, replicas: 2, devices: {value}")


ACCEPTED = [
    "",
    "# nothing\n",
    "---\n",
    "null",
    "{}",
    "version: v1",
    "version:",
    "version: ''",
    '{"version": "v1"}',
    "\ufeffversion: v1\r\n",
    "VERSION: v1",
    "Version: v2\nversion: v1",
    "version: v2\nversion: v1",
    "version: v1\n---\nversion: v2",
    "version: v1\n---\n[",
    "unknown: {anything: [1, 2]}",
    "flags:",
    "flags: {}",
    "sharing:",
    "sharing: {}",
    "resources: null",
    "imex: null",
    "sharing: {mps: null}",
    "sharing: {mps: }",
    "SHARING: {TIMESLICING: {resources: [{name: gpu, replicas: 2}]}}",
    "flags: {migStrategy: null, plugin: null, gfd: null}",
    "flags: {migStrategy: single, failOnInitError: no, nvidiaDriverRoot: 4}",
    "flags: {plugin: {deviceListStrategy: envvar}}",
    "flags: {plugin: {deviceListStrategy: [volume-mounts, cdi-cri], passDeviceSpecs: yes}}",
    "flags: {plugin: {sharedDevicesAllocationPolicy: packed, deviceIDStrategy: index}}",
    "flags: {gdsEnabled: true, mofedEnabled: false, gdrcopyEnabled: on, nvidiaDevRoot: /}",
    "flags: {gfd: {oneshot: true, sleepInterval: 60s, outputFile: /x, machineTypeFile: /y}}",
    "flags: {gfd: {sleepInterval: 1000000000}}",
    "flags: {renameByDefault: true}",
    "imex: {channelIDs: [0], required: true}",
    "imex: {channelIDs: []}",
    "resources: {gpus: [{pattern: '*', name: gpu}], mig: [{pattern: '*', name: nvidia.com/mig}]}",
    "resources: {gpus: null}",
    entry("name: nvidia.com/gpu, replicas: 4"),
    entry("name: gpu, replicas: 4"),
    entry("name: gpu, replicas: 2.0"),
    entry("name: gpu, replicas: 2e0"),
    entry("name: gpu, replicas: 010"),
    entry("name: gpu, replicas: 08"),
    entry("name: gpu, replicas: 0x10"),
    entry("name: gpu, replicas: 2, Replicas: x"),
    entry("name: gpu, replicas: 1, replicas: 2"),
    entry("name: gpu, replicas: 2, rename: shared"),
    entry(f"name: {'g' * 52}, replicas: 2"),
    "base: &b {replicas: 4}\nsharing: {timeSlicing: {resources: [{<<: *b, name: gpu}]}}",
    "sharing: {timeSlicing: {renameByDefault: null, resources: [{name: gpu, replicas: 2}]}}",
    "sharing: {timeSlicing: {failRequestsGreaterThanOne: true, resources: [{name: a, replicas: 2}]}}",
    "sharing: {mps: {resources: [{name: gpu, replicas: 2}]}}",
    devices("all"),
    devices("3"),
    devices("[]"),
    devices('[0, "1", "0:1"]'),
    devices(f"[GPU-{UUID}, MIG-{UUID}, MIG-GPU-{UUID}/3/0]"),
    devices("[0, null]"),
    "sharing: {timeSlicing: {resources: [{name: a, replicas: 2}, {name: a, replicas: 4}]}}",
    "!!python/object/apply:os.system {version: v1}",
]


@pytest.mark.parametrize("text", ACCEPTED)
def test_what_nvidia_accepts_loads(text: str) -> None:
    loaded = load_text(text, "f")
    assert all(finding.level is not Level.ERROR for finding in loaded.findings)
    assert all(finding.mark.line >= 1 for finding in loaded.findings)


MIG = "resources:\n  mig:\n  - "
REFUSED = [
    ("version: v2", "unknown version: v2", "unknown-version", 1, 10),
    ("version: 1", "unknown version: 1", "unknown-version", 1, 10),
    ("version: [v1]", "cannot unmarshal array", "wrong-type", 1, 10),
    ("- version: v1", "cannot unmarshal array", "wrong-type", 1, 1),
    ("version", "cannot unmarshal string", "wrong-type", 1, 1),
    ("version: v1\n\tflags: {}", "found character that cannot start", "syntax", 2, 1),
    ("a: &a [*a]", "anchor 'a' value contains itself", "syntax", 1, 8),
    ("~: 1", "unsupported map key", "syntax", 1, 1),
    ("a: .nan", "unsupported value: NaN", "not-a-number", 1, 4),
    ("a: {b: [-.inf]}", "unsupported value: -Inf", "not-a-number", 1, 9),
    ("sharing: 4", "cannot unmarshal number", "wrong-type", 1, 10),
    ("sharing: {timeSlicing: {}}", "no resources specified", "no-resources", 1, 11),
    ("sharing: {timeSlicing: }", "no resources specified", "no-resources", 1, 11),
    ("sharing: {timeSlicing: null}", "no resources specified", "no-resources", 1, 11),
    ("sharing: {mps: {}}", "no resources specified", "no-resources", 1, 11),
    ("sharing: {timeSlicing: {resources: }}", "no resources specified", "no-resources", 1, 25),
    ("sharing: {timeSlicing: {resources: []}}", "no resources specified", "no-resources", 1, 25),
    ("sharing: {timeSlicing: {Resources: [x]}}", "no resources specified", "no-resources", 1, 11),
    ("sharing: {timeSlicing: {resources: {}}}", "cannot unmarshal object", "wrong-type", 1, 36),
    ("sharing: {timeSlicing: {resources: [a]}}", "cannot unmarshal", "wrong-type", 1, 37),
    (
        "sharing: {timeSlicing: {resources: [null]}}",
        "no resource name specified",
        "no-resource-name",
        1,
        37,
    ),
    (
        "sharing: {timeSlicing: {renameByDefault: 'true', resources: [{name: a, replicas: 2}]}}",
        "cannot unmarshal string",
        "wrong-type",
        1,
        42,
    ),
    (entry("replicas: 2"), "no resource name specified", "no-resource-name", 2, 37),
    (entry("name: gpu"), "no replicas specified", "no-replicas", 2, 37),
    (entry("name: gpu, Replicas: 2"), "no replicas specified", "no-replicas", 2, 37),
    (entry("replicas: 1, name: gpu"), ">= 2", "too-few-replicas", 2, 48),
    (entry("replicas: 0, name: gpu"), ">= 2", "too-few-replicas", 2, 48),
    (entry("replicas: -1, name: gpu"), ">= 2", "too-few-replicas", 2, 48),
    (entry("replicas: null, name: gpu"), ">= 2", "too-few-replicas", 2, 48),
    (entry("replicas: '4', name: gpu"), "cannot unmarshal string", "wrong-type", 2, 48),
    (entry("replicas: 2.5, name: gpu"), "cannot unmarshal number 2.5", "wrong-type", 2, 48),
    (entry("replicas: 1e30, name: gpu"), "cannot unmarshal number", "wrong-type", 2, 48),
    (entry("replicas: yes, name: gpu"), "cannot unmarshal bool", "wrong-type", 2, 48),
    (entry("name: 4, replicas: 2"), "cannot unmarshal number", "wrong-type", 2, 44),
    (entry("name: null, replicas: 2"), "incorrect format", "bad-resource-name", 2, 44),
    (entry("name: example.com/gpu, replicas: 2"), "incorrect format", "bad-resource-name", 2, 44),
    (entry("name: GPU, replicas: 2"), "incorrect format", "bad-resource-name", 2, 44),
    (entry(f"name: {'g' * 53}, replicas: 2"), "63 characters", "bad-resource-name", 2, 44),
    (entry("rename: null, name: gpu, replicas: 2"), "incorrect", "bad-resource-name", 2, 46),
    (entry("rename: a_b, name: gpu, replicas: 2"), "incorrect", "bad-resource-name", 2, 46),
    (entry("devices: some, name: gpu, replicas: 2"), "is 'all'", "bad-devices", 2, 47),
    (entry("devices: 0, name: gpu, replicas: 2"), "must be > 0", "bad-devices", 2, 47),
    (entry("devices: -1, name: gpu, replicas: 2"), "must be > 0", "bad-devices", 2, 47),
    (entry("devices: null, name: gpu, replicas: 2"), "set as ''", "bad-devices", 2, 47),
    (entry("devices: {}, name: gpu, replicas: 2"), "unrecognized type", "bad-devices", 2, 47),
    (entry("devices: [a], name: gpu, replicas: 2"), "unsupported type", "bad-devices", 2, 48),
    (entry("devices: [-1], name: gpu, replicas: 2"), "unsupported type", "bad-devices", 2, 48),
    (entry("devices: [GPU-1], name: gpu, replicas: 2"), "unsupported", "bad-devices", 2, 48),
    (entry("devices: ['0:1:2'], name: gpu, replicas: 2"), "unsupported", "bad-devices", 2, 48),
    (MIG + "name: a", "must have a 'pattern' field", "no-pattern", 3, 5),
    (MIG + "pattern: a", "must have a 'name' field", "no-name", 3, 5),
    (MIG + "{pattern: a, name: A}", "invalid resource name", "bad-resource-name", 3, 24),
    (MIG + "{pattern: 4, name: a}", "cannot unmarshal number", "wrong-type", 3, 15),
    ("flags: {migStrategy: both}", "unknown strategy", "bad-flag-value", 1, 22),
    ("flags: {migStrategy: yes}", "unknown strategy", "bad-flag-value", 1, 22),
    ("flags: {migStrategy: []}", "cannot unmarshal array", "wrong-type", 1, 22),
    ("flags: {failOnInitError: 'true'}", "cannot unmarshal string", "wrong-type", 1, 26),
    ("flags: {gdsEnabled: 1}", "cannot unmarshal number", "wrong-type", 1, 21),
    ("flags: {plugin: []}", "cannot unmarshal array", "wrong-type", 1, 17),
    (
        "flags: {plugin: {deviceListStrategy: 4}}",
        "invalid deviceListStrategy",
        "wrong-type",
        1,
        38,
    ),
    (
        "flags: {plugin: {deviceListStrategy: [envvar, cdi]}}",
        "invalid strategy",
        "bad-flag-value",
        1,
        38,
    ),
    ("flags: {plugin: {deviceIDStrategy: name}}", "invalid", "bad-flag-value", 1, 36),
    ("flags: {gfd: {sleepInterval: soon}}", "invalid duration", "bad-duration", 1, 30),
    ("imex: {channelIDs: [1]}", "must be [] or [0]", "bad-imex", 1, 20),
    ("imex: {channelIDs: a}", "cannot unmarshal string", "wrong-type", 1, 20),
]


@pytest.mark.parametrize(("text", "says", "rule", "line", "column"), REFUSED)
def test_what_nvidia_refuses_is_refused_at_its_place_with_a_way_out(
    text: str, says: str, rule: str, line: int, column: int
) -> None:
    with pytest.raises(ConfigError) as caught:
        load_text(text, "f")
    (error,) = caught.value.errors
    assert (error.id, error.mark) == (rule, Mark("f", line, column)), f"NVIDIA says {says}"
    assert error.message
    assert error.hint or rule == "syntax"


def test_the_words_that_people_search_for_are_kept() -> None:
    for text, words in (
        ("version: v2", "unknown version: v2"),
        (entry("name: gpu, replicas: 1"), "number of replicas must be >= 2"),
        (entry("name: gpu"), "no replicas specified"),
        (entry("replicas: 2"), "no resource name specified"),
        ("sharing: {timeSlicing: {}}", "no resources specified"),
    ):
        with pytest.raises(ConfigError, match=words):
            load_text(text, "f")
