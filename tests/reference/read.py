"""What griffe reads of a public name: its signature, its docstring, its members."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import griffe

from tests.reference.contents import HIDDEN

__all__ = ["doc_of", "fields_of", "methods_of", "parameters_of", "public", "signature_of", "twins"]

_SOURCE = Path(__file__).parents[2] / "src"
_TWIN = re.compile(r"awaitable\(\s*(\w+)")


@functools.cache
def _package() -> Any:
    return griffe.load("pgqueue", search_paths=[str(_SOURCE)])


def public(module: str, name: str) -> Any:
    """What a name stands for, where it is defined."""
    holder = _package()
    for part in module.split(".")[1:]:
        holder = holder[part]
    return _final(holder[name])


def _final(member: Any) -> Any:
    return member.final_target if member.is_alias else member


def doc_of(member: Any) -> str:
    """The docstring; empty if there is none."""
    return "" if member.docstring is None else str(member.docstring.value).strip()


def _members(cls: Any) -> Iterator[Any]:
    hidden = HIDDEN.get(cls.name, set())
    for name, member in cls.all_members.items():
        if not name.startswith("_") and name not in hidden:
            yield _final(member)


def methods_of(cls: Any, *, without: Iterable[str]) -> list[Any]:
    """Public methods and properties, first its own, then those of bases but for the ones named."""
    left_out = {base.path for base in cls.mro() if base.name in without}
    left_out |= {base.path for one in cls.mro() if one.path in left_out for base in one.mro()}
    found = [member for member in _members(cls) if member.is_function or _is_property(member)]
    own = [member for member in found if member.parent.path == cls.path]
    return own + [m for m in found if m.parent.path not in {cls.path, *left_out}]


def _is_property(member: Any) -> bool:
    return "property" in member.labels


def fields_of(cls: Any) -> list[Any]:
    """Fields that the class declares in its body, and not in its constructor."""
    init = cls.members.get("__init__")
    made = range(init.lineno, init.endlineno + 1) if init is not None else range(0)
    return [
        member
        for member in _members(cls)
        if member.is_attribute
        and not _is_property(member)
        and member.parent.path == cls.path
        and member.lineno not in made
        and not _TWIN.match(str(member.value or ""))
    ]


def twins(cls: Any) -> dict[str, str]:
    """The async twin of each operation that has one."""
    found: dict[str, str] = {}
    for member in _members(cls):
        if member.is_attribute and (of := _TWIN.match(str(member.value or ""))):
            found[of[1]] = member.name
    return found


def parameters_of(function: Any) -> list[Any]:
    """The parameters of a function or of a class's constructor, without ``self``."""
    return [p for p in function.parameters if p.name not in ("self", "cls")]


def signature_of(member: Any) -> str:
    """As Python writes it, a line for each parameter where one line would be too long."""
    function = member.all_members.get("__init__") if member.is_class else member
    if function is None or not _final(function).is_function:
        return str(member.name)
    function = _final(function)
    shown = list(_texts(function))
    answer = re.sub(r"^Work\[(.*)\]$", r"\1", str(function.returns or ""))
    arrow = f" -> {answer}" if answer and not member.is_class else ""
    asynchronous = "async " if "async" in function.labels else ""
    line = f"{asynchronous}{member.name}({', '.join(shown)}){arrow}"
    if len(line) <= 88:
        return line
    return f"{asynchronous}{member.name}(\n    " + ",\n    ".join(shown) + f",\n){arrow}"


def _texts(function: Any) -> Iterator[str]:
    """Each parameter as written, with the marks ``*`` and ``/`` where they belong."""
    kinds = griffe.ParameterKind
    parameters = parameters_of(function)
    starred = False
    for n, one in enumerate(parameters):
        if one.kind is kinds.keyword_only and not starred:
            starred = True
            yield "*"
        prefix = {kinds.var_positional: "*", kinds.var_keyword: "**"}.get(one.kind, "")
        starred = starred or prefix == "*"
        annotation = f": {one.annotation}" if one.annotation is not None else ""
        default = f" = {_value(function, one)}" if one.default is not None and not prefix else ""
        yield f"{prefix}{one.name}{annotation}{default}"
        last = n + 1 == len(parameters) or parameters[n + 1].kind is not kinds.positional_only
        if one.kind is kinds.positional_only and last:
            yield "/"


def _value(function: Any, parameter: Any) -> str:
    """The default of a parameter; of a constant, its value."""
    text = str(parameter.default)
    if not re.fullmatch(r"[A-Z_]+", text):
        return text
    path = function.resolve(text).removeprefix("pgqueue.")
    return str(_final(_package()[path]).value)
