"""The page's own files: few, small, read once, and served from memory."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

FOLDER = Path(__file__).parent / "page"

_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".ico": "image/x-icon",
    ".woff2": "font/woff2",
}


@dataclass(frozen=True, slots=True)
class File:
    """One file, with what a browser must know of it."""

    body: bytes
    kind: str
    tag: str


def read_files(folder: Path = FOLDER) -> dict[str, File]:
    """Name → file, of all that a browser may ask for; none where there is no page."""
    if not folder.is_dir():
        return {}
    return {
        path.name: _file(path)
        for path in sorted(folder.iterdir())
        if path.suffix in _TYPES and path.is_file()
    }


def _file(path: Path) -> File:
    body = path.read_bytes()
    return File(body, _TYPES[path.suffix], f'"{hashlib.sha256(body).hexdigest()[:16]}"')
