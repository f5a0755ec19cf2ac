"""Finds the second app of a script that was imported by its own tasks.

A file that runs as ``__main__`` and is imported under its name as well is executed twice: two apps,
and tasks of other modules are on the imported one.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from types import ModuleType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pgqueue.app import App

__all__ = ["describe_twin", "file_of"]

_MAIN = "__main__"
_MOST_NAMED = 10


def file_of(module: object) -> str | None:
    """Return the file that a module was read from."""
    file = getattr(module, "__file__", None)
    return os.path.realpath(file) if isinstance(file, str) else None


def describe_twin(app: App, modules: Mapping[str, ModuleType] = sys.modules) -> str | None:
    """Say which app of a script that was executed twice this one is, and what the other one has."""
    file = file_of(modules.get(_MAIN))
    if file is None:
        return None
    for name, module in list(modules.items()):
        if name == _MAIN or module is modules[_MAIN] or file_of(module) != file:
            continue
        main, imported = _apps(modules[_MAIN]), _apps(module)
        if app in main and imported:
            own, other, others = _MAIN, name, imported
        elif app in imported and main:
            own, other, others = name, _MAIN, main
        else:
            continue
        return (
            f"{file} was executed twice, as {_MAIN} and as {name}: two apps. This worker serves "
            f"that of {own} ({_tasks([app])}); that of {other} has {_tasks(others)}. Put the app "
            "in a module that is only imported"
        )
    return None


def _apps(module: ModuleType) -> list[App]:
    from pgqueue.app import App

    return [value for value in vars(module).values() if isinstance(value, App)]


def _tasks(apps: list[App]) -> str:
    names = [task.name for app in apps for task in app.tasks]
    more = f" and {len(names) - _MOST_NAMED} more" if len(names) > _MOST_NAMED else ""
    return ("tasks " + ", ".join(names[:_MOST_NAMED]) + more) if names else "no tasks"
