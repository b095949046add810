"""kubectl commands as steps: what they do, to which object, in which namespace."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import takewhile

from rota.config.check.shell import Command

_KINDS = {
    "cm": "configmap",
    "configmaps": "configmap",
    "clusterpolicies": "clusterpolicy",
    "clusterpolicies.nvidia.com": "clusterpolicy",
    "clusterpolicy.nvidia.com": "clusterpolicy",
    "ds": "daemonset",
    "daemonsets": "daemonset",
    "deploy": "deployment",
    "deployments": "deployment",
    "no": "node",
    "nodes": "node",
    "ns": "namespace",
    "namespaces": "namespace",
    "po": "pod",
    "pods": "pod",
}
_WITH_VALUE = {
    "-n", "--namespace", "-f", "--filename", "-k", "--kustomize", "-p", "--patch", "--patch-file",
    "--type", "-l", "--selector", "-o", "--output", "--context", "--kubeconfig", "-c", "--container",
    "--from-file", "--from-literal", "--from-env-file", "--timeout", "--field-manager", "--cluster",
    "--user", "--grace-period", "--cascade", "--field-selector", "-s", "--server", "--as",
}  # fmt: skip
_LONG = {"-n": "--namespace", "-f": "--filename", "-k": "--kustomize", "-p": "--patch"}
_TWO_WORDS = {"rollout", "create", "config", "set"}


@dataclass(slots=True)
class Call:
    """A kubectl command, taken apart.

    Attributes:
        verb: `apply`, `delete`, `rollout restart`, …
        objects: (kind, name) in singular lower case; the name empty where a variable holds it.
        rest: words after the objects, such as the labels of `kubectl label`.
        flags: long name → values in order.
    """

    verb: str
    objects: list[tuple[str, str]] = field(default_factory=list)
    rest: list[str] = field(default_factory=list)
    flags: dict[str, list[str]] = field(default_factory=dict)

    def flag(self, name: str) -> str:
        """Its last value; empty where it is not given, or known to the shell only."""
        return known(self.flags.get(name, [""])[-1])


def known(word: str) -> str:
    """The word; empty where the shell would put something in it."""
    return "" if "$" in word or "`" in word or "<" in word or "{" in word[:1] else word


def call(command: Command) -> Call | None:
    """What kubectl (or oc) is asked to do; None for any other command."""
    words = list(command.words)
    while words and (words[0] in ("sudo", "exec", "time") or "=" in words[0]):
        words.pop(0)
    if not words or words[0].rpartition("/")[2] not in ("kubectl", "oc", "k"):
        return None
    plain, flags = _flags(words[1:])
    if not plain:
        return None
    verb = plain.pop(0)
    if verb in _TWO_WORDS and plain:
        verb = f"{verb} {plain.pop(0)}"
    made = Call(verb, flags=flags)
    _objects(made, plain)
    return made


def _flags(words: list[str]) -> tuple[list[str], dict[str, list[str]]]:
    plain: list[str] = []
    flags: dict[str, list[str]] = {}
    rest = iter(takewhile(lambda word: word not in ("--", "<", ">", "<<"), words))
    for word in rest:
        if not word.startswith("-") or word == "-":
            plain.append(word)
            continue
        name, equals, value = word.partition("=")
        if not equals and name[:2] in _LONG and len(name) > 2 and name[1] != "-":
            name, value, equals = name[:2], name[2:], "="
        if not equals and name in _WITH_VALUE:
            value = next(rest, "")
        flags.setdefault(_LONG.get(name, name), []).append(value)
    return plain, flags


def _objects(made: Call, words: list[str]) -> None:
    if made.verb == "create configmap" or made.verb == "create cm":
        made.verb = "create configmap"
        made.objects = [("configmap", known(words[0]))] if words else []
        return
    if words and "/" in words[0]:
        made.objects = [_slashed(w) for w in words if "/" in w and "=" not in w]
        made.rest = [w for w in words if "=" in w or "/" not in w]
    elif words:
        kind = _kind(words[0])
        made.objects = [(kind, known(w)) for w in words[1:] if not _label(w)]
        made.rest = [w for w in words[1:] if _label(w)]


def _label(word: str) -> bool:
    return "=" in word or word.endswith("-")


def _slashed(word: str) -> tuple[str, str]:
    kind, _, name = word.partition("/")
    return _kind(kind), known(name)


def _kind(word: str) -> str:
    lower = word.lower()
    return _KINDS.get(lower, lower.removesuffix(".apps").removesuffix(".v1"))
