"""How long a line of the log may be: what is longer is cut, and says so."""

from __future__ import annotations

import logging
import traceback
from typing import Any

__all__ = ["LINE", "TRACE", "bound", "cut", "message_of", "settle", "trace_of"]

LINE = 4_000
TRACE = 4_000
_SIMPLE = (int, float, bool, type(None))


def cut(text: str, longest: int) -> str:
    """Return text of at most so many bytes, without its middle if it was longer."""
    if len(text) * 4 <= longest or (len(text) <= longest and _size(text) <= longest):
        return text
    half = min(len(text), longest) // 2
    while True:
        said = f"{text[:half]} … {len(text) - 2 * half} characters cut … {text[len(text) - half :]}"
        if half == 0 or _size(said) <= longest:
            return said
        half = half * 7 // 8


def _size(text: str) -> int:
    return len(text.encode("utf-8", "surrogatepass"))


def message_of(record: logging.LogRecord) -> str:
    """Return what was logged, also where its arguments do not fit."""
    try:
        return record.getMessage()
    except Exception:
        return f"{record.msg} {record.args}"


def trace_of(error: tuple[Any, Any, Any]) -> str:
    """Return the traceback of an error, cut."""
    try:
        text = "".join(traceback.format_exception(*error)).removesuffix("\n")
    except Exception:
        text = f"{getattr(error[0], '__name__', 'an error')}, which cannot be shown"
    # Each line for itself first: the type of the error is not to go with the end of its message.
    return cut("\n".join(cut(line, TRACE // 4) for line in text.split("\n")), TRACE)


def bound(record: logging.LogRecord) -> None:
    """Cut what is too long to be written; leave everything else as it is."""
    if not _is_short(record) and _size(text := message_of(record)) > LINE:
        record.msg, record.args = cut(text, LINE), ()
    if record.stack_info:
        record.stack_info = cut(record.stack_info, TRACE)


def settle(record: logging.LogRecord, *, keep_error: bool) -> None:
    """Make a record ready to wait: what it holds is small, and changes no more.

    Arguments that are plain and short stay as they are. Without ``keep_error`` the traceback
    becomes text at once, and lets go of its frames.
    """
    bound(record)
    if not _is_short(record):
        record.msg, record.args = cut(message_of(record), LINE), ()
    if record.exc_info and record.exc_info[0] is not None and not keep_error:
        record.exc_text = record.exc_text or trace_of(record.exc_info)
        record.exc_info = None


def _is_short(record: logging.LogRecord) -> bool:
    args = record.args if isinstance(record.args, tuple) else (record.args,)
    return len(str(record.msg)) <= LINE // 4 and all(map(_is_small, args))


def _is_small(value: object) -> bool:
    kind = type(value)
    return kind in _SIMPLE or (kind is str and len(value) < LINE // 16)  # type: ignore[arg-type]
