"""A task's arguments to JSON text, and back."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from pgqueue.errors import ConfigError, PayloadError, nearest
from pgqueue.hints import among_arguments
from pgqueue.payload.models import dump, is_model
from pgqueue.payload.plain import check_any, has_nul
from pgqueue.payload.plan import Plan
from pgqueue.payload.refused import Refused, joined, key_step, said, short
from pgqueue.payload.signature import Signature

__all__ = ["MAX_BYTES", "Payload", "encode_untyped"]

MAX_BYTES = 1_048_576


def _encode_hook(value: object) -> object:
    if is_model(type(value)):
        return dump(value)
    raise NotImplementedError(f"{type(value).__name__} has no JSON form")


_encode: Callable[[object], bytes] = msgspec.json.Encoder(enc_hook=_encode_hook).encode


class Payload:
    """How the arguments of one task become JSON text, and come back as they were.

    ``max_bytes``: the longest JSON text, in bytes.

    The signature is read at once; its annotations when first used, so that they may refer to
    classes defined further down. ``prepare`` does it sooner. Both raise ConfigError for what
    cannot be stored.
    """

    def __init__(
        self,
        function: Callable[..., object],
        *,
        name: str,
        max_bytes: int = MAX_BYTES,
    ) -> None:
        self.name = name
        self.max_bytes = max_bytes
        self._function = function
        self._signature = Signature.of(function)
        self._names = self._signature.positional
        self._by_keyword = self._signature.by_keyword
        self._what = f'task "{name}"'
        # So many positional arguments are the whole of a call, and nothing is left to be bound.
        whole = not (self._signature.keyword or self._signature.rest or self._signature.extra)
        self._whole = len(self._names) if whole else -1
        self._required = frozenset(
            {*self._signature.positional, *self._signature.keyword}
            - self._signature.defaults.keys()
        )

    @functools.cached_property
    def _plan(self) -> Plan:
        return Plan(self._signature, self._function, self.name)

    def prepare(self) -> None:
        """Resolve the annotations now. Raises ConfigError for one that cannot be stored."""
        _ = self._plan

    def encode(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> str:
        """The arguments of a call as the JSON text of an object, by parameter name.

        Raises PayloadError, with the path of the offending value, for arguments that do not fit
        the signature or would not come back as they are. Nothing given is kept or changed.
        """
        plan = self._plan
        checks = plan.checks
        name = None
        try:
            if len(args) == self._whole and not kwargs:
                values: dict[str, Any] = dict(zip(self._names, args, strict=True))
            else:
                values = self._bind(args, kwargs)
            for name, value in values.items():
                checks[name](value, 1)
            for name, replaced in plan.replaced:
                if name in values:
                    values[name] = replaced(values[name])
            name = None
            encoded = _encode(values)
            if plan.runs_code:
                plan.check_return(encoded, values)
        except Refused as refused:
            if name is not None:
                refused.under(key_step(name))
            raise self._error(refused.why, refused.path) from (refused.__cause__ or None)
        except Exception as exc:
            why, path = plan.explain(exc)
            if name is not None:
                path = joined("$" + key_step(name), path)
            raise self._error(f"cannot be stored: {why}", path) from exc
        if len(encoded) <= self.max_bytes and b"\\u0000" not in encoded:
            return encoded.decode()
        return _text(encoded, self.max_bytes, self._what)

    def decode(
        self, text: str | bytes, what: str = "stored arguments do not fit"
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """The positional and keyword arguments to call the function with.

        Raises PayloadError if the JSON does not fit the signature, as when that has changed since.
        ``what``: what the error says before the reason.
        """
        try:
            plan = self._plan
            if plan.simple:
                return plan.decode(text), {}
            return plan.call(plan.decode(text))
        except ConfigError as exc:
            raise PayloadError(str(exc)) from exc
        except Exception as exc:
            why, path = self._plan.explain(exc)
            raise self._error(f"{what}: {why}", path) from exc

    def _bind(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> dict[str, Any]:
        values: dict[str, Any] = dict(zip(self._names, args, strict=False))
        if len(args) > len(self._names):
            rest = self._signature.rest
            if rest is None:
                index = len(self._names)
                raise Refused(
                    f"takes {index} positional arguments, got {len(args)}: "
                    f"unexpected {short(args[index])}",
                    f"[{index}]",
                )
            values[rest] = list(args[len(self._names) :])
        if kwargs or self._signature.extra is not None:
            self._bind_keywords(kwargs, values)
        if not self._required <= values.keys():
            missing = next(n for n in (*self._names, *self._by_keyword) if self._lacks(n, values))
            raise Refused("is missing, and has no default", key_step(missing))
        return values

    def _lacks(self, name: str, values: dict[str, Any]) -> bool:
        return name in self._required and name not in values

    def _bind_keywords(self, kwargs: Mapping[str, Any], values: dict[str, Any]) -> None:
        extra: dict[str, Any] = {}
        for name, value in kwargs.items():
            if name in self._by_keyword:
                if name in values:
                    raise Refused("is given twice, by position and by keyword", key_step(name))
                values[name] = value
            elif self._signature.extra is not None:
                extra[name] = value
            else:
                hint = among_arguments(name) or nearest(name, self._by_keyword)
                if name in self._names:
                    hint = "; it is positional-only"
                raise Refused(f"is not a parameter{hint}", key_step(name))
        if self._signature.extra is not None:
            values[self._signature.extra] = extra

    def _error(self, why: str, path: str) -> PayloadError:
        return PayloadError(f'task "{self.name}": {path}: {why}', path=path)


def encode_untyped(args: Mapping[str, object], *, max_bytes: int = MAX_BYTES) -> str:
    """Arguments by parameter name as JSON text, for a task whose signature is not known here.

    Takes JSON's own types alone. Raises PayloadError with the path of what would not come back.
    """
    if not isinstance(args, Mapping):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise PayloadError(
            f'args must be a mapping of parameter names, got {short(args)}; write {{"name": value}}'
        )
    try:
        values = dict(args)
        check_any(values, 0)
        encoded = _encode(values)
    except Refused as refused:
        raise PayloadError(f"{refused.path}: {refused.why}", path=refused.path) from None
    except Exception as exc:
        raise PayloadError(f"$: cannot be stored: {said(exc)}") from exc
    return _text(encoded, max_bytes, "the payload")


def _text(encoded: bytes, max_bytes: int, what: str) -> str:
    if len(encoded) > max_bytes:
        raise PayloadError(
            f"{what}: $: is {len(encoded)} bytes as JSON, and the limit is {max_bytes}; "
            "store large data elsewhere and pass its key"
        )
    if has_nul(encoded):
        raise PayloadError(f"{what}: $: holds the character \\u0000, which PostgreSQL cannot store")
    return encoded.decode()
