"""Checks of what holds other values: sequences, mappings, and objects with fields."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any, cast

import msgspec

from pgqueue.payload.plain import MAX_DEPTH, too_deep
from pgqueue.payload.refused import Check, Refused, key_step, mismatch, said
from pgqueue.payload.same import strays

__all__ = ["check_fields", "check_items", "check_mapping", "check_tuple", "check_typed_dict"]


def check_items(kind: type, item_check: Check) -> Check:
    """A list, set, frozenset or tuple whose items are all of one type."""

    def check(value: object, depth: int) -> None:
        if type(value) is not kind:
            raise mismatch(kind.__name__, value)
        if depth > MAX_DEPTH:
            raise too_deep()
        index = 0
        try:
            for index, item in enumerate(cast("Iterable[object]", value)):  # noqa: B007
                item_check(item, depth + 1)
        except Refused as refused:
            refused.under(f"[{index}]")
            raise

    return check


def check_tuple(item_checks: tuple[Check, ...]) -> Check:
    """A tuple with a type for each of its places."""
    says = f"tuple of {len(item_checks)}"

    def check(value: object, depth: int) -> None:
        if type(value) is not tuple:
            raise mismatch(says, value)
        items = cast("tuple[object, ...]", value)
        if len(items) != len(item_checks):
            raise mismatch(says, items)
        if depth > MAX_DEPTH:
            raise too_deep()
        for index, (item_check, item) in enumerate(zip(item_checks, items, strict=True)):
            try:
                item_check(item, depth + 1)
            except Refused as refused:
                refused.under(f"[{index}]")
                raise

    return check


def check_mapping(key_check: Check, item_check: Check) -> Check:
    """A dict whose keys are all of one type, and its values of another."""

    def check(value: object, depth: int) -> None:
        if type(value) is not dict:
            raise mismatch("dict", value)
        if depth > MAX_DEPTH:
            raise too_deep()
        for key, item in cast("dict[object, object]", value).items():
            try:
                key_check(key, depth)
                item_check(item, depth + 1)
            except Refused as refused:
                refused.under(key_step(key))
                raise

    return check


def check_typed_dict(
    kind: type, field_checks: Mapping[str, Check], required: Collection[str]
) -> Check:
    needed = frozenset(required)

    def check(value: object, depth: int) -> None:
        if type(value) is not dict:
            raise mismatch(kind.__name__, value)
        if depth > MAX_DEPTH:
            raise too_deep()
        items = cast("dict[object, object]", value)
        for key in needed - items.keys():
            raise Refused(f"is missing; {kind.__name__} requires it", key_step(key))
        for key, item in items.items():
            field_check = field_checks.get(key) if type(key) is str else None
            try:
                if field_check is None:
                    raise Refused(f"is not a key of {kind.__name__}, and would be lost")
                field_check(item, depth + 1)
            except Refused as refused:
                refused.under(key_step(key))
                raise

    return check


def check_fields(
    kind: type, field_checks: Mapping[str, Check], unset: Collection[str], *, makes_more: bool
) -> Check:
    """A dataclass, NamedTuple, attrs class or msgspec Struct.

    ``unset``: fields that may be UNSET. ``makes_more``: its own code may make attributes that are
    no fields, so that only what comes back shows whether they are lost.
    """
    fields = tuple(field_checks.items())
    names = frozenset(field_checks)
    bare = makes_more or not kind.__dictoffset__

    def check(value: object, depth: int) -> None:
        if type(value) is not kind:
            hint = f"a subclass would come back as {kind.__name__}"
            raise mismatch(kind.__name__, value, hint if isinstance(value, kind) else "")
        if depth > MAX_DEPTH:
            raise too_deep()
        for name, field_check in fields:
            try:
                item = _read(value, name)
                if item is not msgspec.UNSET:
                    field_check(item, depth + 1)
                elif name not in unset:
                    raise Refused("is UNSET, and would come back as its default, or not at all")
            except Refused as refused:
                refused.under(key_step(name))
                raise
        if not (bare or value.__dict__.keys() <= names):
            for name in strays(value, names):
                raise Refused(f"is no field of {kind.__name__}, and would be lost", key_step(name))

    return check


def _read(value: Any, name: str) -> object:
    try:
        return getattr(value, name)
    except Exception as exc:
        raise Refused(f"could not be read: {said(exc)}") from exc
