"""Logging for the command line: lines of text, or JSON, on stderr.

The library itself only logs, to ``pgqueue.*``; a program that embeds it configures its own logging.
"""

from __future__ import annotations

import json
import logging
import sys
from datetime import UTC, datetime

from pgqueue.config import check_text
from pgqueue.errors import ConfigError, nearest
from pgqueue.observe.plain import plain

__all__ = ["FORMATS", "LEVELS", "JsonFormatter", "TextFormatter", "configure"]

LEVELS = ("debug", "info", "warning", "error", "critical")
FORMATS = ("text", "json")
_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


def _time(record: logging.LogRecord) -> str:
    return datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")


def _extra(record: logging.LogRecord) -> dict[str, object]:
    return {name: value for name, value in vars(record).items() if name not in _STANDARD}


def _message(record: logging.LogRecord) -> str:
    try:
        return record.getMessage()
    except Exception:
        return f"{record.msg} {record.args}"


class TextFormatter(logging.Formatter):
    """One line a record, then its traceback, indented; no value can begin a line of its own."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        parts = [_time(record), record.levelname.lower(), record.name, plain(_message(record))]
        parts += [f"{plain(name)}={_value(value)}" for name, value in _extra(record).items()]
        lines = [" ".join(parts)]
        if record.exc_info:
            trace = self.formatException(record.exc_info)
            lines += [f"    {plain(line)}" for line in trace.split("\n")]
        return "\n".join(lines)


class JsonFormatter(logging.Formatter):
    """One JSON object a line: time, level, logger, message, the fields of ``extra``, error."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        body: dict[str, object] = {
            "time": _time(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": _message(record),
        }
        for name, value in _extra(record).items():
            body.setdefault(name, value)
        if record.exc_info:
            body.setdefault("error", self.formatException(record.exc_info))
        try:
            return json.dumps(body, default=str, skipkeys=True, allow_nan=False)
        except (ValueError, TypeError, RecursionError):
            return json.dumps({name: str(value) for name, value in body.items()})


def _value(value: object) -> str:
    text = plain(value)
    return json.dumps(text, ensure_ascii=False) if not text or " " in text else text


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
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter() if format == "json" else TextFormatter())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
