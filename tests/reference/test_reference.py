"""The reference is what the source says, names all that is public, and leaves nothing unsaid."""

from __future__ import annotations

import importlib
import inspect
import re
from typing import Any

import pytest

from tests.reference.contents import PAGES
from tests.reference.read import doc_of, fields_of, methods_of, parameters_of, public
from tests.reference.render import HOME, pages

NAMES = [(page.module, name) for page in PAGES.values() for name in page.names]
# What says itself: the caller's connection, described with each operation's page.
PLAIN = {"connection", "args", "kwargs", "function", "error", "attempt", "job", "call_next"}
SPAN = re.compile(r"\btimedelta\b")


def test_the_pages_are_what_is_written_from_the_source() -> None:
    written = pages()
    assert {path.name for path in HOME.iterdir()} == set(written)
    for name, text in written.items():
        assert (HOME / name).read_text() == text, f"{name}: run make pages"


@pytest.mark.parametrize("module", sorted({page.module for page in PAGES.values()}))
def test_every_public_name_is_on_a_page(module: str) -> None:
    listed = {name for page in PAGES.values() if page.module == module for name in page.names}
    assert listed == set(importlib.import_module(module).__all__)


@pytest.mark.parametrize(("module", "name"), NAMES)
def test_every_public_name_says_what_it_is_for(module: str, name: str) -> None:
    member = public(module, name)
    members = methods_of(member, without=()) if member.is_class else []
    silent = [one.path for one in (member, *members) if not doc_of(one).endswith((".", "```"))]
    assert silent == []


@pytest.mark.parametrize(("module", "name"), NAMES)
def test_every_field_is_named_in_the_text(module: str, name: str) -> None:
    member = public(module, name)
    if not member.is_class:
        return
    text = doc_of(member)
    if "`WorkerSettings`" in text:
        text += str([f"`{field.name}`" for field in fields_of(public(module, "WorkerSettings"))])
    unsaid = [
        field.name
        for field in fields_of(member)
        if not doc_of(field)
        and "about" not in str(field.value)
        and not re.search(rf"`{field.name}`", text, re.IGNORECASE)
    ]
    assert unsaid == []


@pytest.mark.parametrize(("module", "name"), NAMES)
def test_every_span_of_time_says_its_unit(module: str, name: str) -> None:
    member = public(module, name)
    functions = methods_of(member, without=()) if member.is_class else [member]
    own: list[Any] = [one for one in functions if one.is_function]
    unsaid = [
        f"{function.path}({parameter.name})"
        for function in own
        for parameter in parameters_of(function)
        if SPAN.search(str(parameter.annotation)) and "second" not in doc_of(function)
    ]
    assert unsaid == []
    if member.is_class and any(SPAN.search(str(one.annotation)) for one in fields_of(member)):
        assert "second" in doc_of(member)


def test_what_is_read_without_running_is_what_python_knows() -> None:
    for module, name in NAMES:
        value = getattr(importlib.import_module(module), name)
        if inspect.isclass(value) or inspect.isfunction(value):
            assert inspect.getdoc(value) == doc_of(public(module, name)), name
