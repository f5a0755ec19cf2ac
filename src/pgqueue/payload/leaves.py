"""Checks of the scalar types: the type itself, and what its JSON form cannot express."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from uuid import UUID

from msgspec import inspect as m

from pgqueue.payload.plain import check_float, check_int, check_str
from pgqueue.payload.refused import Check, Refused, mismatch

__all__ = ["LEAVES", "check_enum", "check_exact", "check_literal"]

_ENUM_LIMIT = 2**63  # of msgspec


def check_exact(kind: type) -> Check:
    """A check that the value is of this type, and not of a subclass, which would not come back."""

    def check(value: object, _depth: int) -> None:
        if type(value) is not kind:
            hint = ""
            if isinstance(value, kind):
                hint = f"a subclass would come back as {kind.__name__}"
            raise mismatch(kind.__name__, value, hint)

    return check


def check_literal(values: tuple[object, ...], says: str) -> Check:
    allowed = {(type(value), value) for value in values}

    def check(value: object, _depth: int) -> None:
        kind = type(value)
        if kind not in (str, int, bool, type(None)) or (kind, value) not in allowed:
            raise mismatch(says, value)

    return check


def check_enum(kind: type[Enum]) -> Check:
    def check(value: object, _depth: int) -> None:
        if type(value) is not kind:
            raise mismatch(kind.__name__, value)
        inner = value.value
        if isinstance(inner, str):
            check_str(str(inner))
        elif not -_ENUM_LIMIT <= inner < _ENUM_LIMIT:  # a Flag of bits that it does not name
            raise Refused("has a value of more than 64 bits")

    return check


def _datetime(value: object, _depth: int) -> None:
    if type(value) is not datetime:
        raise mismatch("datetime", value)
    if value.tzinfo is not None:
        _offset(value.utcoffset(), value)


def _time(value: object, _depth: int) -> None:
    if type(value) is not time:
        raise mismatch("time", value)
    if value.tzinfo is not None:
        _offset(value.utcoffset(), value)


def _offset(offset: timedelta | None, value: object) -> None:
    if offset is None:
        raise mismatch("a timezone with an offset", value, "without one it would come back naive")
    if offset % timedelta(minutes=1):
        raise mismatch("a UTC offset of whole minutes", value, "call astimezone(timezone.utc)")


def _uuid(value: object, _depth: int) -> None:
    # asyncpg returns a subclass of its own, and it comes back as an equal UUID
    if not isinstance(value, UUID):
        raise mismatch("UUID", value)


LEAVES: dict[type[m.Type], tuple[type, Check]] = {
    m.NoneType: (type(None), check_exact(type(None))),
    m.BoolType: (bool, check_exact(bool)),
    m.IntType: (int, check_int),
    m.FloatType: (float, check_float),
    m.StrType: (str, check_str),
    m.BytesType: (bytes, check_exact(bytes)),
    m.ByteArrayType: (bytearray, check_exact(bytearray)),
    m.DateTimeType: (datetime, _datetime),
    m.DateType: (date, check_exact(date)),
    m.TimeType: (time, _time),
    m.TimeDeltaType: (timedelta, check_exact(timedelta)),
    m.UUIDType: (UUID, _uuid),
    m.DecimalType: (Decimal, check_exact(Decimal)),
}
"""The check of each of msgspec's scalar types, and the Python type that it stands for."""
