"""The formats of the command line's log: lines of text, or JSON; none is longer than some kB."""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime

from pgqueue.observe.bounds import LINE, cut, message_of, trace_of
from pgqueue.observe.plain import plain

__all__ = ["OURS", "JsonFormatter", "TextFormatter", "is_ours"]

OURS = "pgqueue"
"""The logger above all that pgqueue logs to."""

_SHORTEST = 60
_FIELDS = 30
_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


def is_ours(record: logging.LogRecord) -> bool:
    """True if pgqueue itself has logged it."""
    return record.name.partition(".")[0] == OURS


def _time(record: logging.LogRecord) -> str:
    return datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")


def _extra(record: logging.LogRecord) -> dict[str, object]:
    return {name: value for name, value in vars(record).items() if name not in _STANDARD}


def _trace(record: logging.LogRecord) -> str | None:
    """Return the traceback: as it was made when the record was taken, or made now."""
    if record.exc_text:
        return cut(record.exc_text, LINE)
    if record.exc_info and record.exc_info[0] is not None:
        return trace_of(record.exc_info)
    return None


class TextFormatter(logging.Formatter):
    """One line a record, then its traceback, indented; no value can begin a line of its own.

    The fields of ``extra`` stand behind the message. Our own messages say all that theirs hold.
    """

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        message = cut(plain(cut(message_of(record), LINE)), LINE * 3 // 4)
        parts = [_time(record), record.levelname.lower(), record.name, message]
        fields = {} if is_ours(record) else _extra(record)
        parts += [f"{plain(name)}={_value(value)}" for name, value in fields.items()]
        lines = [cut(" ".join(parts), LINE)]
        lines += [f"    {cut(plain(line), LINE)}" for line in (_trace(record) or "").splitlines()]
        return "\n".join(lines)


class JsonFormatter(logging.Formatter):
    """One JSON object a line: time, level, logger, message, the fields of ``extra``, error.

    Each name stands once: a field whose name is taken gets an underscore behind it.
    """

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        body: dict[str, object] = {
            "time": _time(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": cut(message_of(record), LINE),
        }
        if (trace := _trace(record)) is not None:
            body["error"] = trace
        for name, value in _extra(record).items():
            body[f"{name}_" if name in body else name] = value
        return _dumped(body)


def _dumped(body: dict[str, object]) -> str:
    """Return the object on one line: its values are cut where it would be too long."""
    body = {
        name: cut(value, LINE) if isinstance(value, str) else value for name, value in body.items()
    }
    try:
        line = json.dumps(body, default=str, skipkeys=True, allow_nan=False)
    except (ValueError, TypeError, RecursionError):
        line = json.dumps({name: _text(value) for name, value in body.items()})
    longest = LINE
    while len(line) > 2 * LINE and longest > _SHORTEST:
        longest //= 2
        line = json.dumps({name: _shorter(value, longest) for name, value in body.items()})
    if len(line) > 2 * LINE:
        names = list(body)[:_FIELDS]
        kept = {cut(name, _SHORTEST): _shorter(body[name], _SHORTEST) for name in names}
        line = json.dumps(kept | {"cut": f"{len(body) - len(kept)} more fields"})
    return line


def _shorter(value: object, longest: int) -> object:
    return value if type(value) is int and abs(value) < 2**63 else cut(_text(value), longest)


def _text(value: object) -> str:
    try:
        return str(value)
    except Exception:
        return f"a {type(value).__name__} that cannot be shown"


def _value(value: object) -> str:
    text = plain(cut(_text(value), LINE // 8))
    return json.dumps(text, ensure_ascii=False) if not text or " " in text else text
