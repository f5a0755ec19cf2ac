"""The key of a job in its flow, of the arguments of its call."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from enum import Enum
from typing import Any
from uuid import UUID

from pgqueue.errors import ConfigError, nearest, shown
from pgqueue.flow.names import check_key
from pgqueue.flow.value import Flow
from pgqueue.payload.signature import Signature

__all__ = ["KeyOf", "key_of"]

_KIND = inspect.Parameter


class KeyOf:
    """Takes the key out of the arguments of a call.

    ``places``: where its parameters stand in the call, and ``defaults``: their values where the
    call gives none. ``make``: makes the key of them; None: the only one is the key.
    """

    def __init__(
        self,
        what: str,
        places: Mapping[str, int | None],
        defaults: Mapping[str, object],
        make: Callable[..., object] | None,
    ) -> None:
        self._what = what
        self._places = places
        self._defaults = defaults
        self._make = make

    def __call__(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> str:
        """Return the key of a call whose arguments fit the task; ConfigError for one that is none.

        What the function of the flow raises is raised.
        """
        values = {name: self._value(name, at, args, kwargs) for name, at in self._places.items()}
        value: object
        if self._make is None:
            (value,) = values.values()
        else:
            value = self._make(**values)
        return check_key(_text(value, self._what), self._what)

    def _value(
        self, name: str, at: int | None, args: tuple[Any, ...], kwargs: Mapping[str, Any]
    ) -> object:
        if at is not None and at < len(args):
            return args[at]
        return kwargs[name] if name in kwargs else self._defaults[name]


def key_of(flow: Flow, function: Callable[..., object], task: str) -> KeyOf | None:
    """Return what takes the key of jobs of a task; None for a flow without keys.

    Raises ConfigError for a key that is no parameter of the task.
    """
    if flow.key is None:
        return None
    signature = Signature.of(function)
    make = flow.key if callable(flow.key) else None
    names = (flow.key,) if isinstance(flow.key, str) else _parameters(flow.key, flow.name)
    known = (*signature.positional, *signature.keyword)
    for name in names:
        if name not in known:
            are = f"; they are {', '.join(known)}" if known else "; it has none"
            raise ConfigError(
                f'flow "{flow.name}": the key "{name}" is no parameter of the task "{task}"'
                f"{nearest(name, known) or are}"
            )
    places = {
        name: signature.positional.index(name) if name in signature.positional else None
        for name in names
    }
    return KeyOf(f'the key of flow "{flow.name}"', places, signature.defaults, make)


def _parameters(make: Callable[..., object], flow: str) -> tuple[str, ...]:
    """Return the names of the parameters that a function of a key takes."""
    try:
        found = inspect.signature(make).parameters.values()
    except (TypeError, ValueError):
        found = ()
    by_name = (_KIND.POSITIONAL_OR_KEYWORD, _KIND.KEYWORD_ONLY)
    if not found or any(one.kind not in by_name for one in found):
        raise ConfigError(
            f'flow "{flow}": the function of the key must name parameters of the task, as in '
            f"key=lambda tenant, region: ..., got {shown(make)}"
        )
    return tuple(one.name for one in found)


def _text(value: object, what: str) -> str:
    if isinstance(value, Enum):
        value = value.value
    if isinstance(value, str):
        return value
    if isinstance(value, UUID) or (isinstance(value, int) and not isinstance(value, bool)):
        return str(value)
    raise ConfigError(f"{what} must be text, a whole number or a UUID, got {shown(value)}")
