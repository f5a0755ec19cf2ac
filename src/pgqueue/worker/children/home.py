"""By which name a child process finds the app of its worker: ``module:attribute``."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from types import ModuleType
from typing import TYPE_CHECKING

from pgqueue.errors import ConfigError

if TYPE_CHECKING:
    from pgqueue.app import App

__all__ = ["target_of"]


def target_of(app: App) -> str:
    """Return where the app stands. Raises ConfigError where a fresh interpreter cannot find it."""
    if app.target is not None:
        return app.target
    main, in_main = sys.modules.get("__main__"), False
    for name, module in _modules(app):
        for attribute, value in list(vars(module).items()):
            if value is not app:
                continue
            if module is not main:  # which may have a second name there
                return f"{name}:{attribute}"
            in_main = True
    tasks = ", ".join(f'"{task.name}"' for task in app.tasks if task.runs_in == "process")
    what = f"the jobs of {tasks} run in child processes, which import the app"
    if in_main:
        raise ConfigError(
            f"{what}; this one stands in the program itself (__main__), which nobody can import: "
            "move the app and its tasks to a module of their own"
        )
    raise ConfigError(f"{what}; this one is no attribute of a module: write app = App(...) in one")


def _modules(app: App) -> Iterator[tuple[str, ModuleType]]:
    """Yield loaded modules with their names, those of the tasks first."""
    first = [task.function.__module__ for task in app.tasks]
    for name in dict.fromkeys((*first, *list(sys.modules))):
        module = sys.modules.get(name)
        if isinstance(module, ModuleType):
            yield name, module
