"""Whether what comes back is what was given, where code of the user's classes runs in between."""

from __future__ import annotations

import dataclasses
from collections.abc import Set as AbstractSet
from datetime import datetime
from decimal import Decimal
from functools import cached_property
from typing import Any, cast
from uuid import UUID

from pgqueue.payload.models import is_model
from pgqueue.payload.refused import Refused, key_step, short

__all__ = ["check_same", "field_names", "strays"]

_MISSING = object()
_CONTAINERS: tuple[Any, ...] = (list, tuple, dict)


def check_same(given: Any, back: Any) -> None:
    """Raise Refused, with the path, for the first thing that is not as it was given.

    Both have passed the check of their type: scalars are of their types, models were compared.
    """
    kind = cast("Any", type(given))
    if is_model(kind):
        return
    if any(kind is one for one in _CONTAINERS):
        if cast("Any", type(back)) is not kind or len(given) != len(back):
            raise _changed(given, back)
        for key, item in given.items() if kind is dict else enumerate(given):
            other = back.get(key, _MISSING) if kind is dict else back[key]
            _go_on(item, other, key_step(key) if kind is dict else f"[{key}]")
        return
    names = field_names(kind)
    if names is None:
        if not _is_same(given, back):
            raise _changed(given, back)
        return
    if kind is not type(back):
        raise _changed(given, back)
    own = frozenset(names)
    kept = strays(given, own).keys() | strays(back, own).keys()
    for name in (*names, *sorted(kept)):
        one, other = getattr(given, name, _MISSING), getattr(back, name, _MISSING)
        _go_on(one, other, key_step(name))


def field_names(kind: Any) -> tuple[str, ...] | None:
    """Return the names of the fields of a class that has some."""
    for mark in ("__struct_fields__", "_fields"):
        if (names := getattr(kind, mark, None)) is not None:
            return tuple(names)
    if (fields := getattr(kind, "__attrs_attrs__", None)) is not None:
        return tuple(field.name for field in fields)
    if dataclasses.is_dataclass(kind):
        return tuple(field.name for field in dataclasses.fields(kind))
    return None


def strays(value: Any, names: AbstractSet[str]) -> dict[str, Any]:
    """Return the attributes of an object that are no fields.

    Not those that it only remembers (``cached_property``), nor Python's own (``__orig_class__``).
    """
    held: dict[str, Any] = getattr(value, "__dict__", None) or {}
    if held.keys() <= names:
        return {}
    kind = cast("Any", type(value))
    return {
        name: item
        for name, item in held.items()
        if name not in names
        and not name.startswith("__")
        and not isinstance(getattr(kind, name, None), cached_property)
    }


def _go_on(given: Any, back: Any, step: str) -> None:
    try:
        check_same(given, back)
    except Refused as refused:
        refused.under(step)
        raise


def _is_same(given: Any, back: Any) -> bool:
    if given is back:
        return True
    if isinstance(given, (datetime, Decimal)):  # == says no to NaN, and to an hour that comes twice
        return type(given) is type(back) and str(given) == str(back)
    alike = type(given) is type(back) or isinstance(given, (int, float, UUID))
    return alike and bool(given == back)


def _changed(given: object, back: object) -> Refused:
    if back is _MISSING:
        return Refused(f"would be lost: {short(given)}")
    if given is _MISSING:
        return Refused(f"would come back as {short(back)}, and was not there")
    return Refused(f"would come back as {short(back)}, not as {short(given)}")
