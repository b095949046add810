"""What people and the agent say to each other over the control socket: one JSON object a line.

A connection carries one request. Every request names the version; every text has a bound, and what
does not follow the rules is refused with a sentence.

| op | with | answers |
| --- | --- | --- |
| run | the wish | `waiting` each time the line moves, then one `granted`, or `full` |
| jobs | | `jobs`, as far as the caller may see them |
| stop | job, grace | `stopped` |
| pause, resume | job | `paging` as it goes on, the last with `done` |

Instead of any answer there may be an `error` with `what`, `where`, `hint` and `code`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from rota.errors import RotaError, UsageError
from rota.jobs.job import CLASSES, HEAVIEST, LIGHTEST, NAME, Wish

VERSION = 1

LONGEST = 1 << 16
"""Bytes of a request at most; the agent reads no more of a line."""

MOST_REPLICAS = 4096
LONGEST_GRACE = 3600.0
_WORDS, _TEXT = 64, 4096

Message = Mapping[str, Any]


class ProtocolError(RotaError):
    """The other side does not follow the protocol."""


def encode(message: Message) -> bytes:
    """One line."""
    return json.dumps(message, separators=(",", ":")).encode() + b"\n"


def decode(line: bytes) -> dict[str, Any]:
    """The object of a line.

    Raises:
        ProtocolError: it is none.
    """
    try:
        message = json.loads(line)
    except (ValueError, RecursionError):
        raise ProtocolError("a line that is no JSON") from None
    if not isinstance(message, dict):
        raise ProtocolError("a line that is no JSON object")
    return message


def request(op: str, **fields: Any) -> bytes:
    """A request of this version."""
    return encode({"v": VERSION, "op": op, **fields})


def read_request(line: bytes) -> tuple[str, dict[str, Any]]:
    """Op and fields of a request.

    Raises:
        ProtocolError: another version, or no request.
    """
    message = decode(line)
    version, op = message.pop("v", None), message.pop("op", None)
    if version != VERSION:
        raise ProtocolError(
            f"protocol {_shown(version)} asked for, and this agent speaks {VERSION}",
            hint="the agent and the command are of different versions: restart the agent",
        )
    if not isinstance(op, str):
        raise ProtocolError("a request without `op`")
    return op, message


def error(problem: RotaError) -> dict[str, Any]:
    """A refusal as an answer."""
    return {
        "error": {
            "what": problem.what,
            "where": problem.where,
            "hint": problem.hint,
            "code": problem.exit_code,
        }
    }


def raise_error(answer: Message) -> None:
    """Raise what an answer refuses, if it does."""
    if (told := answer.get("error")) is not None:
        kind = UsageError if told.get("code") == UsageError.exit_code else RotaError
        raise kind(told["what"], where=told.get("where", ""), hint=told.get("hint", ""))


def wish_fields(wish: Wish) -> dict[str, Any]:
    """A wish as a request carries it, the command cut to what is shown of it."""
    return {
        "name": wish.name,
        "command": _cut(wish.command),
        "replicas": wish.replicas,
        "gpu": wish.gpu,
        "weight": wish.weight,
        "class": wish.job_class,
        "memory": wish.memory_bytes,
        "wait": wish.wait,
    }


def read_wish(fields: Message) -> Wish:
    """The wish of a request.

    Raises:
        UsageError: a field is missing or out of bounds.
    """
    return Wish(
        name=_field(fields, "name", _is_name, "letters, digits, `.`, `_` and `-`, 40 at most"),
        command=tuple(_field(fields, "command", _is_command, "1 to 64 words")),
        replicas=_field(fields, "replicas", _is_count, f"a number, 1 to {MOST_REPLICAS}"),
        gpu=_field(fields, "gpu", _is_text, "an index or a UUID"),
        weight=float(_field(fields, "weight", _is_weight, f"{LIGHTEST:g} to {HEAVIEST:g}")),
        job_class=_field(fields, "class", CLASSES.__contains__, ", ".join(CLASSES)),
        memory_bytes=_field(fields, "memory", _is_size, "a size above 0"),
        wait=_field(fields, "wait", lambda value: isinstance(value, bool), "true or false"),
    )


def read_stop(fields: Message) -> tuple[str, float]:
    """The job's id or name, and the grace in seconds.

    Raises:
        UsageError: a field is missing or out of bounds.
    """
    job = read_job(fields)
    grace = _field(fields, "grace", _is_grace, f"0 to {LONGEST_GRACE:g} seconds")
    return job, float(grace)


def read_job(fields: Message) -> str:
    """The job's id or name.

    Raises:
        UsageError: it is missing or out of bounds.
    """
    job: str = _field(fields, "job", lambda value: _is_text(value) and value, "the id of a job")
    return job


def _field(fields: Message, key: str, good: Callable[[Any], Any], rule: str) -> Any:
    value = fields.get(key)
    try:
        if good(value):
            return value
    except TypeError:
        pass
    raise UsageError(f"{_shown(value)} cannot be", where=f"--{key}", hint=rule)


def _is_name(value: Any) -> bool:
    return isinstance(value, str) and NAME.fullmatch(value) is not None


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and len(value) <= 128


def _is_command(value: Any) -> bool:
    words = isinstance(value, list) and all(isinstance(word, str) for word in value)
    return words and 1 <= len(value) <= _WORDS + 1 and sum(map(len, value)) <= 2 * _TEXT


def _is_count(value: Any) -> bool:
    return _is_number(value, int) and 1 <= value <= MOST_REPLICAS


def _is_weight(value: Any) -> bool:
    return _is_number(value, int | float) and LIGHTEST <= value <= HEAVIEST


def _is_size(value: Any) -> bool:
    return value is None or (_is_number(value, int) and 0 < value < 1 << 63)


def _is_grace(value: Any) -> bool:
    return _is_number(value, int | float) and 0 <= value <= LONGEST_GRACE


def _is_number(value: Any, kind: Any) -> bool:
    return isinstance(value, kind) and not isinstance(value, bool)


def _cut(command: tuple[str, ...]) -> list[str]:
    """As much of a command as is kept; `…` stands for the rest. Bytes that are no text become `?`."""
    kept: list[str] = []
    room = _TEXT
    for word in command:
        plain = word.encode(errors="replace").decode()
        if len(kept) == _WORDS or len(plain) > room:
            return [*kept, "…"]
        kept.append(plain)
        room -= len(plain)
    return kept


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:59] + "…"
