"""Logging for the process entries; the library itself only logs, to ``pgqueue.*``.

A program that embeds a worker configures its own logging.
"""

from __future__ import annotations

import logging
import sys

from pgqueue.config import check_text
from pgqueue.errors import ConfigError, nearest
from pgqueue.observe import aside
from pgqueue.observe.lines import JsonFormatter, TextFormatter
from pgqueue.observe.stderr import StderrHandler

__all__ = [
    "FORMATS", "LEVELS", "JsonFormatter", "TextFormatter", "configure", "defer", "stay_heard",
]  # fmt: skip

LEVELS = ("debug", "info", "warning", "error", "critical")
FORMATS = ("text", "json")


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


def stay_heard() -> None:
    """After the app was loaded: be heard, once, whatever it has done to logging.

    Where it has a handler of its own on the root logger that writes to the terminal or the
    service's log, ours is taken away.
    """
    aside.revive()
    root = logging.getLogger()
    ours = [handler for handler in root.handlers if isinstance(handler, StderrHandler)]
    theirs = [handler for handler in root.handlers if handler not in ours]
    if any(_shows(handler) for handler in theirs):
        root.handlers[:] = theirs


def _shows(handler: logging.Handler) -> bool:
    stream = getattr(handler, "stream", None)
    return stream is not None and stream in (
        sys.stdout, sys.stderr, sys.__stdout__, sys.__stderr__
    )  # fmt: skip
