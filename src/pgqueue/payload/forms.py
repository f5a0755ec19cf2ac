"""Makes the check of an annotation, from msgspec's own reading of it."""

from __future__ import annotations

from typing import Annotated, Any, cast, get_origin

import msgspec
from msgspec import inspect as m

from pgqueue.errors import ConfigError
from pgqueue.payload.containers import (
    check_fields,
    check_items,
    check_mapping,
    check_tuple,
    check_typed_dict,
)
from pgqueue.payload.leaves import LEAVES, check_enum, check_literal
from pgqueue.payload.models import Adapted, check_model, is_model
from pgqueue.payload.plain import check_any, check_float_among_ints, check_str
from pgqueue.payload.refused import Check, Refused, mismatch

__all__ = ["Forms"]

_ITEMS: tuple[tuple[type[m.Type], type], ...] = (
    (m.ListType, list),
    (m.SetType, set),
    (m.FrozenSetType, frozenset),
    (m.VarTupleType, tuple),
)
_KEYS = (
    m.StrType,
    m.IntType,
    m.FloatType,
    m.DecimalType,
    m.UUIDType,
    m.DateTimeType,
    m.DateType,
    m.TimeType,
    m.TimeDeltaType,
    m.BytesType,
    m.EnumType,
)
_LIMITS = ("gt", "ge", "lt", "le", "multiple_of", "pattern", "min_length", "max_length", "tz")
_HOOKS = ("__post_init__", "__attrs_post_init__", "__attrs_attrs__")


class Forms:
    """Makes checks; one class that occurs many times, or within itself, gets one check.

    ``runs_code`` is set if decoding runs code of the user's classes, which may refuse.
    """

    def __init__(self) -> None:
        self.runs_code = False
        self._made: dict[int, Check | None] = {}
        self._kept: list[m.Type] = []  # so that no id in _made is used again

    def check(self, info: m.Type) -> Check:
        """The check of a type. Raises ConfigError for one that has no JSON form."""
        info = _bare(info)
        made = self._made.get(id(info), self)
        if made is None:  # within itself
            return _later(self._made, id(info))
        if made is not self:
            return cast("Check", made)
        self._kept.append(info)
        self._made[id(info)] = None
        check = _limited(info, self._check(info))
        self._made[id(info)] = check
        return check

    def _check(self, info: m.Type) -> Check:
        if leaf := LEAVES.get(type(info)):
            return leaf[1]
        if (kind := _items_kind(info)) is not None:
            return check_items(kind, self.check(cast("Any", info).item_type))
        match info:
            case m.AnyType():
                return check_any
            case m.TupleType():
                return check_tuple(tuple(map(self.check, info.item_types)))
            case m.DictType():
                return check_mapping(self._key(info.key_type), self.check(info.value_type))
            case m.UnionType():
                return self._union(info)
            case m.LiteralType():
                return check_literal(info.values, _says(info))
            case m.EnumType():
                return check_enum(info.cls)
            case m.TypedDictType():
                required = [field.name for field in info.fields if field.required]
                return check_typed_dict(_class(info), self._fields(info.fields), required)
            case m.DataclassType() | m.NamedTupleType() | m.StructType():
                runs_code = any(hasattr(info.cls, hook) for hook in _HOOKS)
                self.runs_code |= runs_code
                unset = [field.name for field in info.fields if _is_unset(field)]
                return check_fields(
                    _class(info), self._fields(info.fields), unset, makes_more=runs_code
                )
            case m.CustomType(cls):
                return _custom(cls)
            case _:
                raise ConfigError(f"{_says(info)} has no JSON form")

    def _fields(self, fields: tuple[m.Field, ...]) -> dict[str, Check]:
        return {field.name: self.check(field.type) for field in fields}

    def _key(self, info: m.Type) -> Check:
        info = _bare(info)
        if isinstance(info, m.AnyType):
            return check_str
        if isinstance(info, _KEYS) or (
            isinstance(info, m.LiteralType) and len(set(map(type, info.values))) == 1
        ):
            return self.check(info)
        raise ConfigError(f"{_says(info)} cannot be the type of a dict's keys in JSON")

    def _union(self, union: m.UnionType) -> Check:
        members = tuple(map(_bare, union.types))
        among_ints = any(map(_is_int_like, members))
        by_type: dict[type, list[Check]] = {}
        for info in members:
            kinds, check = _python_types(info), self.check(info)
            if isinstance(info, m.FloatType):
                if among_ints:
                    check = _limited(info, check_float_among_ints)
                else:
                    kinds = (float, int)
            for kind in kinds:
                by_type.setdefault(kind, []).append(check)
        says = _says(union)
        first = {kind: _any_of(checks) for kind, checks in by_type.items()}

        def check_union(value: object, depth: int) -> None:
            kind = type(value)
            found = first.get(kind) or next((first[k] for k in kind.__mro__ if k in first), None)
            if found is None:
                raise mismatch(says, value)
            found(value, depth)

        return check_union


def _later(made: dict[int, Check | None], key: int) -> Check:
    def check(value: object, depth: int) -> None:
        real = made[key]
        assert real is not None
        real(value, depth)

    return check


def _is_unset(field: m.Field) -> bool:
    """Whether a field that is left out comes back as UNSET."""
    has_none = field.default is msgspec.NODEFAULT and field.default_factory is msgspec.NODEFAULT
    return not field.required and (has_none or field.default is msgspec.UNSET)


def _custom(kind: type) -> Check:
    if kind is object:
        return check_any
    if is_model(kind) or issubclass(kind, Adapted):
        return check_model(kind)
    raise ConfigError(
        f"{kind.__qualname__} has no JSON form; use a dataclass, TypedDict, NamedTuple, "
        "msgspec Struct or pydantic model, or pass its id or its text"
    )


def _limited(info: m.Type, check: Check) -> Check:
    """Add the limits of an annotation such as ``Annotated[int, Meta(ge=1)]``."""
    limits = {name: getattr(info, name, None) for name in _LIMITS}
    given: dict[str, Any] = {name: limit for name, limit in limits.items() if limit is not None}
    if not given:
        return check
    base: Any = LEAVES[type(info)][0] if type(info) in LEAVES else _python_types(info)[0]
    limited: Any = Annotated[base, msgspec.Meta(**given)]

    def check_limited(value: object, depth: int) -> None:
        check(value, depth)
        try:
            msgspec.convert(value, limited)
        except msgspec.ValidationError as exc:
            raise mismatch(str(exc).removeprefix("Expected ").replace("`", ""), value) from exc

    return check_limited


def _any_of(checks: list[Check]) -> Check:
    if len(checks) == 1:
        return checks[0]

    def check(value: object, depth: int) -> None:
        refusals: list[Refused] = []
        for one in checks:
            try:
                return one(value, depth)
            except Refused as refused:
                refusals.append(refused)
        raise refusals[-1]

    return check


def _items_kind(info: m.Type) -> type | None:
    """Return the type of a list or a set of any kind; None for what is neither."""
    return next((kind for form, kind in _ITEMS if isinstance(info, form)), None)


def _python_types(info: m.Type) -> tuple[type, ...]:
    if leaf := LEAVES.get(type(info)):
        return (leaf[0],)
    if (kind := _items_kind(info)) is not None:
        return (kind,)
    match info:
        case m.TupleType():
            return (tuple,)
        case m.DictType() | m.TypedDictType():
            return (dict,)
        case m.LiteralType():
            return tuple(set(map(type, info.values)))
        case m.AnyType():
            return (object,)
        case _:
            return (_class(info),) if hasattr(info, "cls") else ()


def _class(info: Any) -> type:
    return get_origin(info.cls) or info.cls  # Page, when it says Page[int]


def _is_int_like(info: m.Type) -> bool:
    match info:
        case m.IntType():
            return True
        case m.LiteralType():
            return any(type(value) is int for value in info.values)
        case m.EnumType():
            return any(isinstance(member.value, int) for member in info.cls)
        case _:
            return False


def _says(info: m.Type) -> str:
    match _bare(info):
        case m.UnionType(types):
            return " | ".join(map(_says, types))
        case m.LiteralType(values):
            return f"one of {', '.join(map(repr, values))}"
        case m.NoneType():
            return "None"
        case bare:
            kinds = _python_types(bare)
            return kinds[0].__name__ if kinds else type(bare).__name__.removesuffix("Type")


def _bare(info: m.Type) -> m.Type:
    while isinstance(info, m.Metadata):
        info = info.type
    return info
