"""Named sets of controls, kept in the user's configuration."""

import json
import os
import re
from pathlib import Path
from typing import Any

from platformdirs import user_config_path

from engine.errors import UsageError

MOST = 100
_NAME = re.compile(r"[a-z0-9-]{1,40}")


def user_presets() -> Path:
    return user_config_path("allaprima", appauthor=False) / "presets"


class Presets:
    """One JSON file for each in `folder`. Names are of a-z, 0-9 and -, 40 at most; nothing else reaches the disk."""

    def __init__(self, folder: Path):
        self._folder = folder

    def all(self) -> dict[str, dict[str, Any]]:
        """All that can be read, by name."""
        names = sorted(path.stem for path in self._folder.glob("*.json") if _NAME.fullmatch(path.stem))
        return {name: kept for name in names[:MOST] if (kept := self._read(name)) is not None}

    def get(self, name: str) -> dict[str, Any] | None:
        """The controls kept as `name`, as they were; None where there are none. Raises UsageError for what is no name."""
        return self._read(_checked(name))

    def put(self, name: str, values: dict[str, Any]) -> None:
        """Raises UsageError where there is no room, or for what is no name."""
        if _checked(name) not in (kept := self.all()) and len(kept) >= MOST:
            raise UsageError(f"there are {MOST} presets already; delete one")
        self._folder.mkdir(parents=True, exist_ok=True)
        temporary = self._folder / f"{name}.partial"
        temporary.write_text(json.dumps(values, indent=1) + "\n", encoding="utf-8")
        os.replace(temporary, self._folder / f"{name}.json")

    def delete(self, name: str) -> bool:
        """Whether there was one. Raises UsageError for what is no name."""
        path = self._folder / f"{_checked(name)}.json"
        there = path.exists()
        path.unlink(missing_ok=True)
        return there

    def _read(self, name: str) -> dict[str, Any] | None:
        try:
            values = json.loads((self._folder / f"{name}.json").read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        return values if isinstance(values, dict) else None


def _checked(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise UsageError("a preset's name is of a-z, 0-9 and -, and has 40 characters at most")
    return name
