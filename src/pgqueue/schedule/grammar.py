"""What a cron expression may say; what is wrong is refused with the reason.

``cronsim`` reads the fields. It takes some expressions that are slips, which are refused here.
"""

from __future__ import annotations

import functools
import re
from datetime import datetime

from pgqueue.errors import ConfigError, nearest, shown

__all__ = ["check_cron", "follows_clock", "six_fields"]

_NICKNAMES = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}
_FIELDS = (
    ("second", 0, 59),
    ("minute", 0, 59),
    ("hour", 0, 23),
    ("day-of-month", 1, 31),
    ("month", 1, 12),
    ("day-of-week", 0, 7),
)
_NAMES = {
    "month": ["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"],
    "day-of-week": ["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"],
}
_ALSO = {"day-of-month": ", L or LW", "month": ", JAN to DEC", "day-of-week": ", SUN to SAT"}
_LONGEST = 200


def check_cron(expression: object) -> str:
    """Return the expression with single spaces; a nickname such as ``@daily`` as its fields.

    Raises ConfigError that says which field is wrong, and why.
    """
    if not isinstance(expression, str) or not expression.strip():
        raise ConfigError(
            f"cron must be a text of 5 or 6 fields, as in '30 2 * * *', got {shown(expression)}"
        )
    if len(expression) > _LONGEST:
        raise ConfigError(f"cron has {len(expression)} characters, the limit is {_LONGEST}")
    text = " ".join(expression.split())
    if text.startswith("@"):
        return _nickname(text)
    fields = text.upper().split()
    if len(fields) not in (5, 6):
        raise ConfigError(
            f'cron "{text}" has {len(fields)} fields; it takes 5 (minute, hour, day of month, '
            "month, day of week), or 6 with seconds first"
        )
    for field, (name, low, high) in zip(fields, _FIELDS[-len(fields) :], strict=True):
        reason = _wrong(field, name, low, high)
        if reason is not None:
            raise ConfigError(f'cron "{text}": {name} "{field}" {reason}')
    _check_comes(text)
    return text


def _nickname(text: str) -> str:
    if text == "@reboot":
        raise ConfigError("cron takes no @reboot: a schedule belongs to the fleet, which never is")
    try:
        return _NICKNAMES[text]
    except KeyError:
        raise ConfigError(f'cron knows no "{text}"{nearest(text, _NICKNAMES)}') from None


def _wrong(field: str, name: str, low: int, high: int) -> str | None:
    """Return what is wrong with a field; None if nothing is, as far as its text tells."""
    for term in field.split(","):
        if (unknown := _unknown(term, name)) is not None:
            return unknown
        body, slash, step = term.partition("/")
        if slash and (not step.isdecimal() or not 1 <= int(step) <= high):
            return f"has a step that is not from 1 to {high}"
        if slash and body in ("L", "LW"):
            return "has a step after L"
        first, dash, last = body.partition("-")
        ends = [n for n in (_number(first, name), _number(last, name)) if n is not None]
        if dash and len(ends) == 2 and ends[0] > ends[1]:
            return "is a range that ends before it begins; write two, with a comma"
        if dash and slash and len(set(ends)) == 1:
            return f"is a range of one with a step; write {first} alone"
        outside = [n for n in ends if not low <= n <= high]
        if outside:
            return f"has {outside[0]}, which is not from {low} to {high}"
        if not _reads(term, name):
            return f"cannot be read; it takes *, {low}-{high}, a-b, */n{_ALSO.get(name, '')}"
    return None


def _unknown(term: str, name: str) -> str | None:
    if "?" in term:
        return "has a ?; write * instead"
    if "H" in re.sub("[A-Z]{3}", "", term):
        return "has an H, which is another program's; say which one it is to be"
    if "W" in re.sub("[A-Z]{3}", "", term) and (name, term) != ("day-of-month", "LW"):
        return "has a W; of the nearest weekdays there is only LW, the last one of the month"
    return None


def _number(text: str, name: str) -> int | None:
    names = _NAMES.get(name, [])
    if text in names:
        return names.index(text) + (name == "month")
    return int(text) if text.isdecimal() and text.isascii() and len(text) < 6 else None


def _reads(term: str, name: str) -> bool:
    from cronsim.cronsim import CronSimError, Field

    try:
        Field([known for known, _, _ in _FIELDS].index(name)).parse(term)
    except CronSimError:
        return False
    return True


def _check_comes(text: str) -> None:
    """Refuse a date that never comes, such as 30 February."""
    from cronsim import CronSim, CronSimError

    try:
        next(CronSim(six_fields(text), datetime(2024, 1, 1)))
    except (CronSimError, StopIteration):
        raise ConfigError(f'cron "{text}": no day is like that, in 50 years') from None


@functools.lru_cache(maxsize=4096)
def six_fields(expression: str) -> str:
    """Return a checked expression with a field for seconds."""
    return expression if expression.count(" ") == 5 else f"0 {expression}"


@functools.lru_cache(maxsize=4096)
def follows_clock(expression: str) -> bool:
    """Return True if the expression fires at each instant whose wall time matches.

    That is where its minute or its hour begins with ``*``. The others fire once a wall time.
    """
    minute, hour = expression.split()[-5:-3]
    return minute.startswith("*") or hour.startswith("*")
