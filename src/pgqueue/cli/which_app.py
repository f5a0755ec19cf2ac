"""Which app a command is about: the option, PGQUEUE_APP, or the project's pyproject.toml.

Nothing here imports the app.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pgqueue.errors import ConfigError, nearest, shown

__all__ = ["Choice", "choose", "read_project"]

VARIABLE = "PGQUEUE_APP"
_KEYS = ("app",)


@dataclass(frozen=True, slots=True)
class Choice:
    """``target``: "module:app". ``source``: who said so. ``directory``: where its modules are."""

    target: str
    source: str
    directory: str | None = None

    @property
    def is_given(self) -> bool:
        """True if this very command line names it."""
        return self.source == "--app"


def choose(given: str | None, environment: Mapping[str, str], here: Path) -> Choice | None:
    """Return the app; None where nobody names one. ``here``: the working directory."""
    if given is not None:
        return Choice(given, "--app")
    if target := environment.get(VARIABLE):
        return Choice(target, VARIABLE)
    for directory in (here, *here.parents):
        file = directory / "pyproject.toml"
        try:
            text = file.read_text("utf-8")
        except (OSError, UnicodeDecodeError):
            continue
        if (target := read_project(text, str(file))) is not None:
            return Choice(target, str(file), str(directory))
    return None


def read_project(text: str, file: str) -> str | None:
    """Return ``app`` of ``[tool.pgqueue]``; None if the file has no such table."""
    if "pgqueue" not in text:
        return None
    try:
        document: dict[str, Any] = tomllib.loads(text)
    except tomllib.TOMLDecodeError as exc:
        raise ConfigError(f"{file} cannot be read: {exc}") from None
    tool = document.get("tool")
    table = tool.get("pgqueue") if isinstance(tool, dict) else None  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
    if table is None:
        return None
    if not isinstance(table, dict):
        raise ConfigError(f"{file}: tool.pgqueue must be a table, [tool.pgqueue]")
    values: dict[str, object] = table  # pyright: ignore[reportUnknownVariableType]
    for key in values:
        if key not in _KEYS:
            guess = nearest(key, _KEYS) or f"; there is {', '.join(_KEYS)}"
            raise ConfigError(f'{file}: [tool.pgqueue] has no setting "{key}"{guess}')
    target = values.get("app")
    if target is not None and (not isinstance(target, str) or not target):
        raise ConfigError(
            f'{file}: app in [tool.pgqueue] must be a string like "shop.jobs:app", '
            f"got {shown(target)}"
        )
    return target
