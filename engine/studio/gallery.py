"""The styles as the page shows them: those of the library, and pictures that are dropped on it."""

import asyncio
from typing import Any

from engine.errors import UsageError
from engine.studio import pictures
from models.library import Library, Style, decoded, slug

MOST_OWN = 500
_MOST_NAME = 60  # characters


class Gallery:
    """The library's styles. Only names that the library lists lead to files."""

    def __init__(self, library: Library):
        self.library = library
        self._adding = asyncio.Lock()  # a picture at a time: decoding one takes memory

    def all(self) -> list[dict[str, Any]]:
        return [_entry(style) for style in self.library.styles]

    def thumbnail(self, name: str) -> bytes | None:
        """A small JPEG of the style `name`, None where there is none."""
        style = next((style for style in self.library.styles if style.name == name), None)
        if style is None:
            return None
        path = self.library.own / f"{name}.jpg" if style.own else self.library.folder / "thumbnails" / f"{name}.jpg"
        try:
            data = path.read_bytes()
        except OSError:
            return None
        return pictures.thumbnail(data) if style.own else data

    async def add(self, data: bytes, content_type: str, name: str) -> dict[str, Any]:
        """Keep a picture as a style, named like `name`; returns its entry. Raises UsageError and LibraryError."""
        if len(name) > _MOST_NAME:
            raise UsageError(f"a name has {_MOST_NAME} characters at most")
        async with self._adding:
            return await asyncio.to_thread(self._add, data, content_type, name)

    def _add(self, data: bytes, content_type: str, name: str) -> dict[str, Any]:
        pictures.check(data, content_type)
        taken = {style.name for style in self.library.styles}
        if sum(style.own for style in self.library.styles) >= MOST_OWN:
            raise UsageError(f"there are {MOST_OWN} styles of your own already; remove one")
        wanted = slug(name) or "picture"
        chosen = next(free for free in [wanted, *(f"{wanted}-{n}" for n in range(2, MOST_OWN + 3))] if free not in taken)
        return _entry(self.library.add(decoded(data, "the picture"), chosen, name.strip() or chosen, source="the studio"))

    def remove(self, name: str) -> None:
        """Raises LibraryError for any but the user's own."""
        self.library.remove(name)


def _entry(style: Style) -> dict[str, Any]:
    about = {key: getattr(style, key) for key in ("name", "title", "artist", "year", "rights", "own")}
    return about | {"thumbnail": f"/api/styles/{style.name}.jpg"}
