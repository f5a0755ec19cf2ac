"""The pages of docs/reference, as Markdown."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import Any

from tests.reference.contents import MADE_BY_US, PAGES, Page
from tests.reference.read import (
    doc_of,
    fields_of,
    methods_of,
    public,
    signature_of,
    twins,
)

__all__ = ["HOME", "pages"]

HOME = Path(__file__).parents[2] / "docs" / "reference"
_INDEX = """\
# API reference

Every public name, from the docstrings of the source. `make pages` writes these pages, and a test
compares them. What a program may not rely on is not listed here, whatever its name.

| page | what it says |
|---|---|
"""


def pages() -> dict[str, str]:
    """All pages by the name of their file."""
    written = {f"{name}.md": _page(page) for name, page in PAGES.items()}
    rows = [f"| [{page.title}]({name}.md) | {page.about} |" for name, page in PAGES.items()]
    names = [
        f"| [`{name}`]({file}.md#{_anchor(name)}) | `{page.module}` | {_first(page, name)} |"
        for file, page in PAGES.items()
        for name in page.names
    ]
    written["README.md"] = (
        _INDEX
        + "\n".join(rows)
        + "\n\n## All names\n\n| name | imported from | what it is |\n|---|---|---|\n"
        + "\n".join(sorted(names, key=str.lower))
        + "\n"
    )
    return written


def _page(page: Page) -> str:
    parts = [f"# {page.title}\n", f"Import these names from `{page.module}`.\n"]
    for name in page.names:
        parts += _name(name, public(page.module, name))
    return "\n".join(parts)


def _name(name: str, member: Any) -> list[str]:
    parts = [f"## {name}\n"]
    if (member.is_function or member.is_class) and name not in MADE_BY_US:
        if (signature := signature_of(member)) != name:
            parts.append(_code(signature))
    elif member.is_attribute and name != "__version__":
        parts.append(_code(f"{name} = {member.value}"))
    if member.is_class and member.bases and (bases := _own_bases(member)):
        parts.append(f"A kind of {', '.join(f'`{base}`' for base in bases)}.\n")
    parts.append(_text(doc_of(member)))
    if member.is_class:
        parts += _fields(member)
        asynchronous = twins(member)
        listed = [base for base in _own_bases(member) if _is_ours(base)]
        parts += [f"It has all that [{base}](#{_anchor(base)}) has, and:\n" for base in listed]
        for method in methods_of(member, without=listed):
            parts += _method(name, method, asynchronous.get(method.name))
    return parts


def _own_bases(member: Any) -> list[str]:
    """The bases that a user may catch or ask for."""
    names = [str(base).rpartition(".")[2] for base in member.bases]
    known = {name for page in PAGES.values() for name in page.names} | {
        "ValueError", "TypeError", "RuntimeError", "Exception", "StrEnum", "int",
    }  # fmt: skip
    return [name for name in names if name in known]


def _is_ours(name: str) -> bool:
    return any(
        name in page.names and methods_of(public(page.module, name), without=())
        for page in PAGES.values()
    )


def _fields(cls: Any) -> list[str]:
    rows = [(f"`{field.name}`", _type(field), _about(field)) for field in fields_of(cls)]
    if not rows:
        return []
    head = ("field", "type or value", "what it is")
    width = 3 if any(about for *_, about in rows) else 2
    lines = [head, ("---",) * 3, *rows]
    return ["\n".join(f"| {' | '.join(line[:width])} |" for line in lines) + "\n"]


def _type(field: Any) -> str:
    text = str(field.annotation if field.annotation is not None else field.value)
    return f"`{text}`".replace("|", r"\|")


def _about(field: Any) -> str:
    """The docstring of a field, or the text that stands in its metadata."""
    if doc := doc_of(field):
        return _text(doc).strip().replace("\n", " ").replace("|", r"\|")
    match ast.parse(str(field.value or ""), mode="eval").body if field.value else None:
        case ast.Call(keywords=[ast.keyword("default", default), ast.keyword("metadata", about)]):
            return f"{ast.literal_eval(about)['about']} (default: `{ast.unparse(default)}`)"
        case _:
            return ""


def _method(owner: str, method: Any, twin: str | None) -> list[str]:
    parts = [f"### {owner}.{method.name}\n"]
    if method.is_function:
        parts.append(_code(signature_of(method)))
    elif method.annotation is not None:
        parts.append(f"A property: `{method.annotation}`.\n")
    parts.append(_text(doc_of(method)))
    if twin:
        parts.append(f"In async code: `await {twin}(...)`.\n")
    return parts


def _code(text: str) -> str:
    return f"```python\n{text}\n```\n"


def _text(doc: str) -> str:
    return doc.replace("``", "`") + "\n"


def _first(page: Page, name: str) -> str:
    first = doc_of(public(page.module, name)).partition("\n\n")[0].replace("\n", " ")
    sentence = re.split(r"(?<=[.:]) (?=[A-Z`])", first)[0]
    return sentence.replace("``", "`").replace("|", r"\|")


def _anchor(name: str) -> str:
    return name.lower()
