"""How a defect gets into a process: a statement's text is changed, or a method is replaced."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pgqueue.db import statements

__all__ = ["replace_method", "replace_text"]


def replace_text(name: str, old: str, new: str) -> None:
    """Change the text of a statement from now on; it must hold what is to be changed."""
    before = statements.source
    if old not in before(name):
        raise LookupError(f"{name}.sql does not hold {old!r} any more")

    def source(asked: str) -> str:
        text = before(asked)
        return text.replace(old, new) if asked == name else text

    statements.source = source  # type: ignore[assignment]


def replace_method(owner: Any, name: str, make: Callable[[Any], Any]) -> None:
    """Put ``make(original)`` in place of a method or a function."""
    setattr(owner, name, make(getattr(owner, name)))
