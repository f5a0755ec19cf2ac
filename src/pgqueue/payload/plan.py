"""What a signature comes to: a check for each parameter, and a decoder for all of them."""

from __future__ import annotations

import re
import typing
from collections.abc import Callable, Mapping
from typing import Any

import msgspec
from msgspec import inspect as m
from msgspec.structs import astuple

from pgqueue.errors import ConfigError, PayloadError, shown
from pgqueue.payload.forms import Forms
from pgqueue.payload.models import Adapted, adapt, load, mentions_model
from pgqueue.payload.refused import Check, Refused, joined, key_step, said
from pgqueue.payload.same import check_same
from pgqueue.payload.signature import Signature, resolve

__all__ = ["Plan"]

_AT = re.compile(r"(?s)(.*?)(?: - at `(.*)`)?\Z")
# The one message of msgspec that quotes a value; a worker logs it, and arguments may be secret.
_QUOTED = re.compile(r"(Invalid enum value) .*", re.DOTALL)
_FIELD = re.compile(r"Object (missing required|contains unknown) field `(.*)`\Z", re.DOTALL)
_SAFE_DEFAULTS = (type(None), bool, int, float, str)


class Plan:
    """The checks and the decoder of one task, made once.

    ``checks``: by parameter. ``replaced``: parameters that pydantic turns into JSON, and how.
    ``simple``: all parameters are passed by position. ``runs_code``: decoding may be refused by
    the user's own classes, so it is tried when encoding.
    """

    def __init__(self, signature: Signature, function: Callable[..., object], task: str) -> None:
        self._signature = signature
        self._function = function
        self._task = task
        self._forms = Forms()
        self.checks: dict[str, Check] = {}
        self.replaced: list[tuple[str, Callable[[Any], object]]] = []
        self.simple = not (signature.keyword or signature.rest or signature.extra)
        self._names = [*signature.positional, *signature.keyword]
        self._names += [name for name in (signature.rest, signature.extra) if name]
        self.decode = self._decoder(self._names)
        self.runs_code = self._forms.runs_code

    def call(self, values: tuple[Any, ...]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Split decoded values into positional and keyword arguments."""
        signature = self._signature
        first, last = len(signature.positional), len(signature.keyword)
        args = values[:first]
        kwargs = dict(zip(signature.keyword, values[first:], strict=False))
        if signature.rest is not None:
            args += tuple(values[first + last])
        if signature.extra is not None:
            for name, value in values[-1].items():
                if name in signature.by_keyword:
                    step = key_step(signature.extra) + key_step(name)
                    raise PayloadError("is a parameter of its own by now", path=f"${step}")
                kwargs[name] = value
        return args, kwargs

    def check_return(self, encoded: bytes, values: Mapping[str, Any]) -> None:
        """Decode, and raise Refused if what comes back is not as it was given."""
        replaced = {name for name, _ in self.replaced}  # these were compared by their check
        for name, back in zip(self._names, self.decode(encoded), strict=True):
            if name in values and name not in replaced:
                try:
                    check_same(values[name], back)
                except Refused as refused:
                    refused.under(key_step(name))
                    raise

    def explain(self, error: Exception) -> tuple[str, str]:
        """What an error says, and the path of what it is about."""
        cause = error.__cause__
        if isinstance(error, PayloadError):
            return str(error), error.path
        if not isinstance(error, msgspec.ValidationError):
            return said(error), "$"
        found = _AT.match(str(error))
        assert found is not None
        why, path = _QUOTED.sub(r"\1", found[1]), found[2] or "$"
        if isinstance(cause, PayloadError):
            return str(cause), joined(path, cause.path)
        if field := _FIELD.match(why):
            path += key_step(field[2])
            why = "is missing" if field[1].startswith("missing") else "is unexpected"
        return why.replace("`", ""), path

    def _decoder(self, names: list[str]) -> Callable[[str | bytes], tuple[Any, ...]]:
        # fields have names of their own, so that no parameter's name can clash with anything
        rename = {f"p{index}": name for index, name in enumerate(names)}
        fields = [(own, self._form(name), self._default(name)) for own, name in rename.items()]
        try:
            struct = msgspec.defstruct(
                "Arguments",
                [field if field[2] is not msgspec.NODEFAULT else field[:2] for field in fields],
                rename=rename,
                kw_only=True,
                forbid_unknown_fields=True,
                gc=False,
            )
            decode = msgspec.json.Decoder(struct, dec_hook=_decode_hook).decode
        except Exception as exc:
            raise ConfigError(f'task "{self._task}": {said(exc)}') from exc
        return lambda text: astuple(decode(text))

    def _form(self, name: str) -> Any:
        """Add the check of a parameter, and return the type that decodes it."""
        try:
            annotation: Any = resolve(self._signature.annotations[name], self._function)
        except Exception as exc:
            raise self._refuse(name, f"the annotation cannot be resolved: {said(exc)}") from exc
        if name == self._signature.rest:
            annotation = list[annotation]
        elif name == self._signature.extra:
            if typing.get_origin(annotation) is typing.Unpack:
                annotation = typing.get_args(annotation)[0]
            else:
                annotation = dict[str, annotation]
        try:
            info = m.type_info(annotation)
        except Exception as exc:
            if not mentions_model(annotation):
                raise self._refuse(name, _why_not(annotation, exc)) from exc
            annotation = self._adapt(name, annotation)
            info = m.type_info(annotation)
        try:
            self.checks[name] = self._forms.check(info)
        except ConfigError as exc:
            raise self._refuse(name, str(exc)) from exc
        return annotation

    def _adapt(self, name: str, annotation: object) -> type[Adapted]:
        try:
            kind = adapt(annotation)
        except Exception as exc:
            raise self._refuse(name, said(exc)) from exc
        self.replaced.append((name, kind.dump))
        return kind

    def _default(self, name: str) -> Any:
        signature = self._signature
        if name in (signature.rest, signature.extra):
            empty: Any = list if name == signature.rest else dict
            return msgspec.field(default_factory=empty)
        if name not in signature.defaults:
            return msgspec.NODEFAULT
        default = signature.defaults[name]
        if type(default) in _SAFE_DEFAULTS:
            return default
        return msgspec.field(default_factory=lambda: default)

    def _refuse(self, name: str, why: str) -> ConfigError:
        return ConfigError(f'task "{self._task}", parameter "{name}": {why}')


def _why_not(annotation: object, error: Exception) -> str:
    """Say why msgspec does not take an annotation."""
    if "Type unions may not contain more than one" not in str(error):
        return said(error)
    return (
        f"the members of {shown(annotation)} look alike as JSON, so that nobody could tell which "
        "one came back; annotate one of them, or use a field that says which it is"
    )


def _decode_hook(kind: type, raw: object) -> object:
    return raw if kind is object else load(kind, raw)
