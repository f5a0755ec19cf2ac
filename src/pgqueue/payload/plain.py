"""What JSON and jsonb can hold: text, numbers, and values without a type to check against."""

from __future__ import annotations

import re
from math import isfinite
from typing import cast

from msgspec.inspect import type_info

from pgqueue.payload.refused import Check, Refused, key_step, mismatch

__all__ = [
    "MAX_DEPTH",
    "PRINTED_AS_INT",
    "check_any",
    "check_float",
    "check_float_among_ints",
    "check_int",
    "check_json",
    "check_str",
    "has_nul",
    "too_deep",
]

MAX_DEPTH = 100
_INT_LIMIT = 10**4300  # msgspec decodes 4,300 digits and no more
PRINTED_AS_INT = 1e16  # from here on JSON writes a float without a point, once jsonb has had it
_NUL = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000")
_BY_ISOFORMAT = {"datetime", "date", "time"}
_BY_STR = {"UUID", "Decimal", "Path", "PosixPath"}
_AS_LIST = {"tuple", "set", "frozenset", "deque"}


def check_str(value: object, _depth: int = 0) -> None:
    if type(value) is not str:
        raise mismatch("str", value)
    if "\0" in value:
        raise Refused("holds the character \\u0000, which PostgreSQL cannot store")
    if not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError as exc:
            where = f"{value[exc.start]!a} at {exc.start}"
            raise Refused(f"is not valid text: lone surrogate {where}") from None


def check_int(value: object, _depth: int = 0) -> None:
    if type(value) is not int:
        raise mismatch("int", value)
    # Most are a machine word: the limit itself is 2 kB, and need not be touched.
    if value.bit_length() > 64 and not -_INT_LIMIT < value < _INT_LIMIT:
        raise Refused("is an int of more than 4300 digits")


def check_float(value: object, _depth: int = 0) -> None:
    """A float, or an int that a float holds exactly: it comes back as a float."""
    if type(value) is int:
        try:
            exact = float(value) == value
        except OverflowError:
            exact = False
        if not exact:
            raise mismatch("float", value, "a float cannot hold this int exactly")
        return
    if type(value) is not float:
        raise mismatch("float", value)
    if not isfinite(value):
        raise Refused(f"is {value}, which JSON cannot hold")


def check_float_among_ints(value: object, _depth: int = 0) -> None:
    """A float where an int may stand as well: it must not come back as one."""
    if type(value) is not float:
        raise mismatch("float", value)
    if not isfinite(value):
        raise Refused(f"is {value}, which JSON cannot hold")
    if not -PRINTED_AS_INT < value < PRINTED_AS_INT:
        raise Refused(
            f"is the float {value}, which jsonb would give back as an int: annotate float"
        )


def check_any(value: object, depth: int) -> None:
    """A value that comes back as the same thing without a type to convert it to."""
    kind = type(value)
    if kind is float:
        check_float_among_ints(value)
    else:
        _check_other(value, kind, depth, check_any)


def check_json(value: object, depth: int) -> None:
    """A value that is JSON already, and that its reader converts: 1e16 may come back as an int."""
    kind = type(value)
    if kind is float:
        check_float(value)
    else:
        _check_other(value, kind, depth, check_json)


def _check_other(value: object, kind: type, depth: int, check: Check) -> None:
    if kind is str:
        check_str(value)
    elif kind is int:
        check_int(value)
    elif kind is dict:
        if depth > MAX_DEPTH:
            raise too_deep()
        for key, item in cast("dict[object, object]", value).items():
            try:
                check_str(key)
                check(item, depth + 1)
            except Refused as refused:
                refused.under(key_step(key))
                raise
    elif kind is list:
        if depth > MAX_DEPTH:
            raise too_deep()
        for index, item in enumerate(cast("list[object]", value)):
            try:
                check(item, depth + 1)
            except Refused as refused:
                refused.under(f"[{index}]")
                raise
    elif kind is not bool and value is not None:
        raise mismatch("a JSON value", value, _hint(kind))


def _hint(kind: type) -> str:
    name = kind.__name__
    how = "annotate the parameter with its type"
    if name in _BY_ISOFORMAT:
        return f"{how}, or pass .isoformat()"
    if name in _BY_STR:
        return f"{how}, or pass str(...)"
    if name in _AS_LIST:
        return f"{how}, or pass list(...)"
    return how if _has_form(kind) else "pass its id or its text"


def _has_form(kind: type) -> bool:
    """Whether a parameter may be annotated with this type."""
    from pgqueue.payload.forms import Forms  # which is made of the checks here

    try:
        Forms().check(type_info(kind))
    except Exception:
        return False
    return True


def too_deep() -> Refused:
    return Refused(f"is nested more than {MAX_DEPTH} deep, or contains itself")


def has_nul(encoded: bytes) -> bool:
    """Whether the JSON escapes the character U+0000, and not a backslash before ``u0000``."""
    return b"\\u0000" in encoded and _NUL.search(encoded) is not None
