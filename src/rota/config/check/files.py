"""The only door to the file system: what a person named, as texts with names.

A named path that cannot be read is wrong usage and ends the command. What lies deeper in a folder
only earns a finding, so that one bad file does not hide the others.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from rota.config.check.registry import found
from rota.config.findings import Finding, Mark
from rota.config.opening import NoFile, opened, why
from rota.errors import UsageError

LARGEST = 16 * 1024 * 1024
"""Bytes of the largest file that is read. A ConfigMap may have 1 MiB."""

KUSTOMIZATIONS = ("kustomization.yaml", "kustomization.yml", "Kustomization")
_SUFFIXES = (".yaml", ".yml", ".json", ".md", ".markdown", ".sh")
_SKIPPED = {"node_modules", "__pycache__", "vendor"}
_STREAMS = ("/dev/stdin", "/dev/fd/", "/proc/self/fd/")


@dataclass(frozen=True, slots=True)
class Source:
    """One text.

    Attributes:
        file: its name in messages.
        text: what it says.
        path: where it lies; None for a stream.
        named: a person named it, rather than a folder around it.
    """

    file: str
    text: str
    path: Path | None = None
    named: bool = False


@dataclass(slots=True)
class Disk:
    """Reads texts, and remembers each under its name in messages."""

    texts: dict[str, str] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)

    def named(self, path: str) -> Source | None:
        """Read a file that a person named; None, and a finding, where it is no text.

        Raises:
            UsageError: it is not there, no regular file, or not readable.
        """
        try:
            with _named(path) as file:
                raw = file.read(LARGEST + 1)
        except NoFile:
            hint = "for a stream, give - and pipe into it"
            raise UsageError("is no regular file", where=path, hint=hint) from None
        except (OSError, ValueError) as error:
            raise UsageError(f"cannot be read: {why(error)}", where=path) from None
        return self._source(path, raw, Path(path), named=True)

    def stream(self, stream: BinaryIO) -> Source | None:
        """Read standard input; None, and a finding, where it is no text."""
        return self._source("<stdin>", stream.read(LARGEST + 1), None, named=True)

    def inside(self, path: Path, asked: Mark | None = None) -> Source | None:
        """Read a file that lies in a folder, or that the place `asked` names.

        None, and a finding, where that cannot be done.
        """
        place = asked or Mark(str(path))
        try:
            with opened(path, pipes=False) as file:
                raw = file.read(LARGEST + 1)
        except FileNotFoundError:
            self.findings.append(found("file-missing", place, f"there is no file {path}"))
            return None
        except (OSError, ValueError) as error:
            self.findings.append(
                found("file-unreadable", place, f"{path} cannot be read: {why(error)}")
            )
            return None
        return self._source(str(path), raw, path, named=False)

    def _source(self, file: str, raw: bytes, path: Path | None, *, named: bool) -> Source | None:
        text = self._text(file, raw)
        self.texts[file] = text or ""
        return None if text is None else Source(file, text, path, named)

    def _text(self, file: str, raw: bytes) -> str | None:
        if len(raw) > LARGEST:
            what = f"the file is larger than {LARGEST >> 20} MiB and is not read"
            self.findings.append(found("too-large", Mark(file), what))
            return None
        wide = raw.startswith((b"\xff\xfe", b"\xfe\xff"))
        try:
            return raw.decode("utf-16" if wide else "utf-8-sig")
        except UnicodeDecodeError as error:
            line = raw.count(b"\n", 0, error.start) + 1
            column = error.start - (raw.rfind(b"\n", 0, error.start) + 1) + 1
            what = f"this is no text: byte 0x{raw[error.start]:02x} is not UTF-8"
            self.findings.append(found("not-utf8", Mark(file, line, column), what))
            return None


def walk(folder: Path) -> Iterator[Path]:
    """The manifests, scripts and documents in a folder, by name; each real folder once."""
    seen: set[Path] = set()
    for root, folders, names in os.walk(folder, followlinks=True):
        place = real(Path(root))
        if place in seen:
            folders.clear()
            continue
        seen.add(place)
        mounted = "..data" in folders or "..data" in names
        folders[:] = sorted(f for f in folders if f not in _SKIPPED and not f.startswith("."))
        yield from (Path(root) / name for name in sorted(names) if _wanted(name, mounted))


def kustomization_in(folder: Path) -> Path | None:
    """The kustomization file of a folder, if it has one."""
    return next((folder / n for n in KUSTOMIZATIONS if is_file(folder / n)), None)


def is_file(path: Path) -> bool:
    """Whether it is a file that can be seen; unlike pathlib's, this raises for no path at all."""
    return os.path.isfile(path)  # noqa: PTH113


def is_folder(path: Path) -> bool:
    """Whether it is a folder that can be seen; raises for no path at all."""
    return os.path.isdir(path)  # noqa: PTH112


def real(path: Path) -> Path:
    """The path without links; a loop of links, on which pathlib raises, stays as it is."""
    return Path(os.path.realpath(path))


def _wanted(name: str, mounted: bool) -> bool:
    if name.startswith("."):
        return False
    return mounted or name.endswith(_SUFFIXES) or name in KUSTOMIZATIONS


def _named(path: str) -> BinaryIO:
    """What a person named: also a stream of this process, a terminal for one."""
    return Path(path).open("rb") if path.startswith(_STREAMS) else opened(Path(path))
