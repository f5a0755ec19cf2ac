"""Finds the App that ``module:attribute`` names, and says what is wrong where there is none."""

from __future__ import annotations

import contextlib
import importlib
import os
import pkgutil
import sys
from types import ModuleType
from typing import TYPE_CHECKING

from pgqueue.errors import ConfigError, nearest
from pgqueue.worker.import_failure import describe_failure
from pgqueue.worker.twins import file_of

if TYPE_CHECKING:
    from pgqueue.app import App

__all__ = ["load_app"]


def load_app(target: str, directory: str | None = None) -> App:
    """Import the module, once, and return its App.

    ``directory`` is looked in first, by default the current one, unless Python was told not to (-P,
    PYTHONSAFEPATH).
    """
    name, colon, attribute = target.partition(":")
    if name.endswith(".py") or "/" in name:
        path = name.removesuffix(".py").strip("./").replace("/", ".")
        raise ConfigError(f'"{target}" is a file; name the module: "{path}:{attribute or "app"}"')
    if not colon or not name or not attribute:
        raise ConfigError(
            f'"{target}" names no app; write module:attribute, as "{name or "jobs"}:app"'
        )
    first = directory or os.getcwd()
    if not sys.flags.safe_path and first not in sys.path:
        sys.path.insert(0, first)
    _set_up_django()
    module = _import(name)
    _refuse_twins(module)
    app = _find(module, attribute)
    app.target = target
    return app


def _set_up_django() -> None:
    """Let tasks import models, where DJANGO_SETTINGS_MODULE names the settings of a project."""
    settings = os.environ.get("DJANGO_SETTINGS_MODULE")
    if not settings:
        return
    try:
        import django
        from django.apps import apps
    except ImportError:
        return
    try:
        if not apps.ready:
            django.setup()
    except Exception as exc:
        raise ConfigError(
            f"Django cannot be set up with DJANGO_SETTINGS_MODULE={settings}: "
            f"{type(exc).__name__}: {exc}"
        ) from exc


def _import(name: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as exc:
        if exc.name is None or not f"{name}.".startswith(f"{exc.name}."):
            raise ConfigError(describe_failure(name, exc)) from exc
        known = _siblings(exc.name)
        raise ConfigError(f'no module "{exc.name}"{nearest(exc.name, known)}') from exc
    except (Exception, SystemExit) as exc:
        raise ConfigError(describe_failure(name, exc)) from exc


def _siblings(missing: str) -> list[str]:
    """Return the modules that stand where the missing one would."""
    parent, dot, _ = missing.rpartition(".")
    path = None
    if dot:
        path = getattr(sys.modules.get(parent), "__path__", ())
    found: list[str] = []
    with contextlib.suppress(Exception):
        found = [info.name for info in pkgutil.iter_modules(path)]
    return [f"{parent}{dot}{name}" for name in found]


def _refuse_twins(module: ModuleType) -> None:
    """One file imported under two names holds two apps; the tasks may be on the other one."""
    own = file_of(module)
    if own is None:
        return
    for name, other in list(sys.modules.items()):
        if other is not module and file_of(other) == own:
            raise ConfigError(
                f"{own} was imported twice, as {module.__name__} and as {name}: two apps, each "
                f'with tasks of its own; name it as the rest of the program does: "{name}:..."'
            )


def _find(module: ModuleType, attribute: str) -> App:
    from pgqueue.app import App

    apps = [name for name, value in vars(module).items() if isinstance(value, App)]
    found: object = module
    for part in attribute.split("."):
        try:
            found = getattr(found, part)
        except AttributeError:
            guess = nearest(attribute, apps)
            if not guess and apps:
                guess = f"; its apps are {', '.join(apps)}"
            elif not guess:
                guess = "; it has no App"
            raise ConfigError(f'module "{module.__name__}" has no "{attribute}"{guess}') from None
    if isinstance(found, App):
        return found
    hint = f"; its apps are {', '.join(apps)}" if apps else ""
    kind = type(found).__name__
    article = "an" if kind[0].lower() in "aeiou" else "a"
    raise ConfigError(f"{module.__name__}:{attribute} is not an App but {article} {kind}{hint}")
