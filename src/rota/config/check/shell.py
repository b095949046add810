"""Commands in shell scripts, and the fenced blocks of Markdown that hold them.

This is no shell: it splits words, joins continued lines, and finds here-documents. What a variable
holds is unknown, and a word with one in it stays as written.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass

from rota.config.findings import Mark

SHELLS = ("sh", "bash", "shell", "console", "zsh", "")
YAMLS = ("yaml", "yml", "json")
_FENCE = re.compile(r"^([ \t]*)(?:[-*] )?(```+|~~~+)[ \t]*([\w-]*)")
_HEREDOC = re.compile(r"<<(-?)\s*(['\"]?)(\w+)\2")
_PROMPT = re.compile(r"^\s*\$ ")
_BREAKS = {"|", "||", "&&", ";", "&", "(", ")", ";;", "|&"}
_KUBECTL = re.compile(r"\b(kubectl|oc)\b")
_LONGEST = 200


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block of Markdown, its lines without the fence's indent."""

    language: str
    text: str
    origin: Mark


@dataclass(frozen=True, slots=True)
class Command:
    """One simple command: its words, where it begins, and the here-document it is fed."""

    words: tuple[str, ...]
    mark: Mark
    document: str = ""
    document_at: Mark | None = None


def blocks(text: str, file: str) -> Iterator[Block]:
    """The fenced blocks of a Markdown text; one that is never closed ends with the text."""
    lines = text.splitlines()
    number = 0
    while number < len(lines):
        fence = _FENCE.match(lines[number])
        number += 1
        if fence is None:
            continue
        start, (indent, mark, language) = number, fence.groups()
        while number < len(lines) and not lines[number].strip().startswith(mark):
            number += 1
        body = "\n".join(_unindented(line, len(indent)) for line in lines[start:number])
        yield Block(language.lower(), body + "\n", Mark(file, start + 1, len(indent) + 1))
        number += 1


def commands(text: str, origin: Mark) -> Iterator[Command]:
    """The simple commands in those lines of a script that speak of kubectl, in order."""
    lines = text.splitlines()
    number = 0
    while number < len(lines):
        start, line = number, lines[number]
        number += 1
        if not _KUBECTL.search(line) or line.lstrip().startswith("#"):
            continue
        words, number = _logical(lines, start)
        heredoc = _HEREDOC.search(line)
        document, place = "", None
        if heredoc:
            place = Mark(origin.file, origin.line + number, origin.column)
            document, number = _here(lines, number, heredoc[3])
        column = origin.column + len(line) - len(_PROMPT.sub("", line).lstrip())
        mark = Mark(origin.file, origin.line + start, column)
        for simple in _split(words):
            yield Command(simple, mark, document, place)


def _unindented(line: str, indent: int) -> str:
    return line[indent:] if not line[:indent].strip() else line.lstrip()


def _logical(lines: list[str], start: int) -> tuple[list[str], int]:
    """The words of the command that begins in a line, and the line after its last."""
    text = _PROMPT.sub("", lines[start])
    number = start + 1
    while text.rstrip().endswith("\\") and number < len(lines):
        text = text.rstrip()[:-1] + " " + lines[number]
        number += 1
    words = _words(text)
    while words is None and number < min(len(lines), start + _LONGEST):
        text += "\n" + lines[number]
        number += 1
        words = _words(text) if any(quote in lines[number - 1] for quote in "'\"") else None
    return (words, number) if words is not None else ([], start + 1)


def _words(text: str) -> list[str] | None:
    """The words; None where a quotation is not closed."""
    lexer = shlex.shlex(text, posix=True, punctuation_chars="|&;()")
    lexer.whitespace_split = True
    try:
        return list(lexer)
    except ValueError:
        return None


def _here(lines: list[str], number: int, end: str) -> tuple[str, int]:
    start = number
    while number < len(lines) and lines[number].strip() != end:
        number += 1
    return "\n".join(lines[start:number]) + "\n", number + 1


def _split(words: list[str]) -> Iterator[tuple[str, ...]]:
    simple: list[str] = []
    for word in [*words, ";"]:
        if word in _BREAKS:
            if simple:
                yield tuple(simple)
            simple = []
        else:
            simple.append(word)
