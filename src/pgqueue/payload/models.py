"""Pydantic models, which we know when we see one: pydantic itself is never imported here."""

from __future__ import annotations

import re
import sys
import typing
from collections.abc import Callable
from decimal import Decimal
from itertools import takewhile
from typing import Any

import msgspec

from pgqueue.errors import PayloadError
from pgqueue.payload.plain import PRINTED_AS_INT, check_json
from pgqueue.payload.refused import Check, Refused, key_step, mismatch, said, short

__all__ = ["Adapted", "adapt", "check_model", "dump", "is_model", "load", "mentions_model"]

_LARGE = re.compile(rb"\de\d")  # 1e16 and above, as msgspec writes a float; or text like it
_DUMP: dict[str, Any] = {"mode": "json", "by_alias": True, "round_trip": True, "warnings": False}


class _Stands(type):
    # msgspec asks whether what our hook returns is an instance; pydantic has seen to that
    def __instancecheck__(cls, _: object) -> bool:
        return True


class Adapted(metaclass=_Stands):
    """Base of the types that stand for an annotation that pydantic alone can convert."""

    adapter: Any

    @classmethod
    def dump(cls, value: object) -> Any:
        """A value that is strictly of the annotation, as JSON values."""
        cls.adapter.validate_python(value, strict=True)
        return cls.adapter.dump_python(value, **_DUMP)


def is_model(kind: object) -> bool:
    """Whether this is a class of pydantic v2 models."""
    return isinstance(kind, type) and all(
        hasattr(kind, name) for name in ("__pydantic_validator__", "model_dump", "model_fields")
    )


def mentions_model(annotation: object) -> bool:
    """Whether an annotation is, or contains between its brackets, a model."""
    return is_model(annotation) or any(map(mentions_model, typing.get_args(annotation)))


def adapt(annotation: object) -> type[Adapted]:
    """A type for an annotation such as ``Cat | Dog``, a union of models."""
    adapter = sys.modules["pydantic"].TypeAdapter(annotation)
    return type("Adapted", (Adapted,), {"adapter": adapter})


def dump(value: Any) -> Any:
    """A model as JSON values."""
    return value.model_dump(**_DUMP)


def load(kind: Any, raw: object) -> object:
    """JSON values as a model. Raises PayloadError with the path from here."""
    return _load(kind, msgspec.json.encode(raw))


def _load(kind: Any, text: bytes) -> object:
    try:
        if issubclass(kind, Adapted):
            return kind.adapter.validate_json(text)
        return kind.model_validate_json(text)
    except ValueError as exc:
        why, path = _complaint(exc, kind)
        raise PayloadError(why, path=path) from exc


def check_model(kind: type) -> Check:
    """A check that a model comes back from its JSON with the same fields."""
    model: Any = kind
    if issubclass(kind, Adapted):
        return _check_return(kind, kind.dump, lambda back, value: back == value)

    def same(back: Any, value: Any) -> bool:
        names: typing.Iterable[str] = model.model_fields
        _check_private(back, value)
        return back.model_extra == value.model_extra and all(
            getattr(back, name) == getattr(value, name) for name in names
        )

    return _check_return(model, dump, same)


def _check_private(back: Any, value: Any) -> None:
    """Private attributes are no part of a model's JSON: they must be what a new one has."""
    ours: dict[str, Any] = getattr(value, "__pydantic_private__", None) or {}
    theirs: dict[str, Any] = getattr(back, "__pydantic_private__", None) or {}
    for name in sorted(ours.keys() | theirs.keys()):
        one, other = (short(held[name]) if name in held else "not there" for held in (ours, theirs))
        if name not in ours or name not in theirs or ours[name] != theirs[name]:
            raise Refused(
                f"is a private attribute, and would come back as {other}, not as {one}; "
                "make it a field, or leave it as a new model has it",
                key_step(name),
            )


def _check_return(
    kind: Any, dumped: Callable[[object], object], same: Callable[[Any, Any], bool]
) -> Check:
    def check(value: object, depth: int) -> None:
        if not issubclass(kind, Adapted) and type(value) is not kind:
            hint = f"a subclass would come back as {kind.__name__}"
            raise mismatch(kind.__name__, value, hint if isinstance(value, kind) else "")
        try:
            raw = dumped(value)
            check_json(raw, depth)
            text = msgspec.json.encode(raw)
            if large := _LARGE.search(text) is not None:
                text = msgspec.json.encode(_as_jsonb_prints(raw))
            back = _load(kind, text)
        except Refused:
            raise
        except PayloadError as exc:
            raise Refused(f"would not come back: {exc}", exc.path.removeprefix("$")) from exc
        except ValueError as exc:
            why, path = _complaint(exc, kind)
            raise Refused(f"could not be dumped: {why}", path.removeprefix("$")) from exc
        except Exception as exc:
            raise Refused(f"could not be dumped: {said(exc)}") from exc
        if (
            type(back) is not type(value)
            or not same(back, value)
            or (large and not _same_numbers(raw, dumped(back)))
        ):
            raise mismatch("a value that comes back the same", value, "its JSON does not")

    return check


def _as_jsonb_prints(value: Any) -> Any:
    """JSON values as they come out of a jsonb column: large floats as integers."""
    match value:
        case float():
            return value if -PRINTED_AS_INT < value < PRINTED_AS_INT else int(Decimal(repr(value)))
        case dict():
            return {key: _as_jsonb_prints(item) for key, item in value.items()}  # pyright: ignore[reportUnknownVariableType]
        case list():
            return [_as_jsonb_prints(item) for item in value]  # pyright: ignore[reportUnknownVariableType]
        case _:
            return value


def _same_numbers(one: Any, other: Any) -> bool:
    """Whether JSON values are the same, and ints and floats stand in the same places."""
    match one, other:
        case dict(), dict():
            return one.keys() == other.keys() and all(_same_numbers(one[k], other[k]) for k in one)  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType, reportUnknownArgumentType]
        case list(), list():
            return len(one) == len(other) and all(map(_same_numbers, one, other))  # pyright: ignore[reportUnknownArgumentType]
        case _:
            return type(one) is type(other) and one == other


def _complaint(error: Any, kind: type) -> tuple[str, str]:
    """What a ValidationError says first, and the path of it."""
    try:
        errors = error.errors(include_url=False, include_context=False, include_input=False)
        places: list[tuple[str | int, ...]] = [each["loc"] for each in errors]
        if not issubclass(kind, Adapted):
            places = places[:1]
        # of a union, each member complains under its own name: the value is where they agree
        shared = takewhile(lambda steps: len(set(steps)) == 1, zip(*places, strict=False))
        path = "".join(key_step(s) if isinstance(s, str) else f"[{s}]" for s, *_ in shared)
        return str(errors[0]["msg"]), "$" + path
    except Exception:
        return said(error), "$"
