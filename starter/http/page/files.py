"""The page's files, as they are sent."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_FOLDER: Final = Path(__file__).parent / "static"
_MEDIA_TYPES: Final = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}


@dataclass(frozen=True, slots=True)
class PageFile:
    """A file of the page.

    Attributes:
        etag: Changes with the content, so that a browser sees a new release at once and loads nothing twice.
    """

    name: str
    content: bytes
    media_type: str
    etag: str


def page_files() -> Iterator[PageFile]:
    """Read all files of the page. They are few and small; nothing else in the folder can be asked for."""
    for path in sorted(_FOLDER.iterdir()):
        if media_type := _MEDIA_TYPES.get(path.suffix):
            content = path.read_bytes()
            yield PageFile(path.name, content, media_type, f'"{hashlib.sha256(content).hexdigest()[:32]}"')
