"""Logging for the process entries; the library itself only logs, to ``pgqueue.*``.

A program that embeds a worker configures its own logging. So does an app that gives the root logger
a handler when it is imported.
"""

from __future__ import annotations

import logging
import sys

from pgqueue.config import check_text
from pgqueue.errors import ConfigError, nearest
from pgqueue.observe import aside
from pgqueue.observe.lines import OURS, JsonFormatter, TextFormatter, is_ours
from pgqueue.observe.stderr import StderrHandler

__all__ = [
    "FORMATS", "LEVELS", "JsonFormatter", "TextFormatter", "be_heard", "configure", "defer",
]  # fmt: skip

LEVELS = ("debug", "info", "warning", "error", "critical")
FORMATS = ("text", "json")


def be_heard(level: str | None = "info", format: str = "text") -> None:  # noqa: A002
    """After the app was loaded: let what is logged be seen, once.

    An app that has given the root logger a handler decides where lines go and how they look. The
    level then holds for ``pgqueue`` alone, unless the app has given that one. Otherwise lines go to
    stderr. ``level``: None changes no handler and no level.
    """
    aside.revive()
    if level is None:
        return
    ours = logging.getLogger(OURS)
    if _heard(logging.getLogger()):
        if ours.level == logging.NOTSET:
            ours.setLevel(level.upper())
        return
    configure(level, format)
    if _heard(ours):
        for handler in logging.getLogger().handlers:
            handler.addFilter(_is_of_others)


def configure(level: str = "info", format: str = "text") -> None:  # noqa: A002
    """Send what is logged to stderr, from this level up; replaces what was configured before."""
    if check_text(level, "log level", longest=100).lower() not in LEVELS:
        raise ConfigError(
            f"log level must be one of {', '.join(LEVELS)}; got {level!r}"
            f"{nearest(level.lower(), LEVELS)}"
        )
    if format not in FORMATS:
        raise ConfigError(
            f"log format must be text or json, got {format!r}{nearest(format, FORMATS)}"
        )
    handler = StderrHandler(sys.stderr)
    handler.setFormatter(JsonFormatter() if format == "json" else TextFormatter())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())


def defer() -> None:
    """Let a thread write what is logged from now on: a process that works must not wait for it."""
    aside.begin()


def _heard(logger: logging.Logger) -> bool:
    """True if it has a handler of its own that shows anything."""
    return any(not isinstance(handler, logging.NullHandler) for handler in logger.handlers)


def _is_of_others(record: logging.LogRecord) -> bool:
    return not is_ours(record)
