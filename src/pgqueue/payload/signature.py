"""A function's parameters: how they are passed, and what their annotations mean."""

from __future__ import annotations

import ast
import inspect
import sys
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import UnionType
from typing import Annotated, Any, Union

from pgqueue.errors import ConfigError
from pgqueue.shape import where

__all__ = ["Signature", "annotated_with", "resolve"]

_KIND = inspect.Parameter


@dataclass(frozen=True, slots=True)
class Signature:
    """The parameters of a task that are part of its payload, by how they are passed."""

    positional: tuple[str, ...]
    """Passed by position, and what a caller may give so."""
    keyword: tuple[str, ...]
    """Passed by keyword alone."""
    rest: str | None
    """``*args``"""
    extra: str | None
    """``**kwargs``"""
    by_keyword: frozenset[str]
    """Those that a caller may give by keyword."""
    annotations: Mapping[str, object]
    defaults: Mapping[str, object]

    @classmethod
    def of(cls, function: Callable[..., object]) -> Signature:
        """Read a signature. Raises ConfigError for one that cannot be called with a payload."""
        own = _parameters(function)
        named = [p for p in own if p.kind not in (_KIND.VAR_POSITIONAL, _KIND.VAR_KEYWORD)]
        positional = tuple(p.name for p in named if p.kind is not _KIND.KEYWORD_ONLY)
        return cls(
            positional=positional,
            keyword=tuple(p.name for p in named if p.kind is _KIND.KEYWORD_ONLY),
            rest=next((p.name for p in own if p.kind is _KIND.VAR_POSITIONAL), None),
            extra=next((p.name for p in own if p.kind is _KIND.VAR_KEYWORD), None),
            by_keyword=frozenset(p.name for p in named if p.kind is not _KIND.POSITIONAL_ONLY),
            annotations={p.name: p.annotation for p in own},
            defaults={p.name: p.default for p in named if p.default is not _KIND.empty},
        )


def annotated_with(function: Callable[..., object], kind: type) -> tuple[str, ...]:
    """Names of the parameters annotated with ``kind``, also as ``kind | None`` or ``"kind"``.

    An annotation that cannot be resolved, as when imported for type checkers alone, counts by name.
    """
    return tuple(p.name for p in _parameters(function) if _means(p.annotation, kind, function))


def resolve(annotation: object, function: Callable[..., object]) -> Any:
    """An annotation with its forward references resolved. Raises what that raises."""
    if annotation is _KIND.empty:
        return Any

    def holder() -> None: ...

    holder.__annotations__ = {"it": annotation}
    return typing.get_type_hints(holder, _globals(function), include_extras=True)["it"]


def _parameters(function: Callable[..., object]) -> list[inspect.Parameter]:
    try:
        if sys.version_info >= (3, 14):
            from annotationlib import Format

            signature = inspect.signature(function, annotation_format=Format.FORWARDREF)
        else:
            signature = inspect.signature(function)
    except (TypeError, ValueError) as exc:
        raise ConfigError(f"{where(function)} has no signature to check arguments by") from exc
    return list(signature.parameters.values())


def _globals(function: Any) -> dict[str, Any]:
    while (inner := getattr(function, "func", None)) is not None:  # functools.partial
        function = inner
    function = inspect.unwrap(function)
    if not hasattr(function, "__globals__"):  # an object that can be called
        function = function.__call__
    return getattr(function, "__globals__", {})


def _means(annotation: object, kind: type, function: Callable[..., object]) -> bool:
    try:
        return _is(resolve(annotation, function), kind)
    except Exception:
        text = getattr(annotation, "__forward_arg__", annotation)
        return type(text) is str and _names(text, kind.__name__)


def _is(annotation: Any, kind: type) -> bool:
    origin = typing.get_origin(annotation)
    if origin is Annotated:
        return _is(typing.get_args(annotation)[0], kind)
    if origin is Union or origin is UnionType:
        return any(_is(member, kind) for member in typing.get_args(annotation))
    return annotation is kind or origin is kind


def _names(text: str, name: str) -> bool:
    """Whether the source of an annotation means the class of that name."""
    try:
        return _node_names(ast.parse(text, mode="eval").body, name)
    except SyntaxError:
        return False


def _node_names(node: ast.AST, name: str) -> bool:
    match node:
        case ast.Name(found) | ast.Attribute(attr=found):
            return found == name
        case ast.Constant(str(text)):
            return _names(text, name)
        case ast.BinOp(left, ast.BitOr(), right):
            return _node_names(left, name) or _node_names(right, name)
        case ast.Subscript(
            ast.Name("Optional" | "Union") | ast.Attribute(attr="Optional" | "Union"), inner
        ):
            members = inner.elts if isinstance(inner, ast.Tuple) else [inner]
            return any(_node_names(member, name) for member in members)
        case ast.Subscript(
            ast.Name("Annotated") | ast.Attribute(attr="Annotated"), ast.Tuple([first, *_])
        ):
            return _node_names(first, name)
        case ast.Subscript(value):
            return _node_names(value, name)
        case _:
            return False
