"""Who changes something and why, as options of a command."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

__all__ = ["changes"]

F = TypeVar("F", bound=Callable[..., Any])


def changes(function: F) -> F:
    """Accept who changes something and why, for the table of changes."""
    for name, about in (
        ("--reason", "Why, for the record of changes."),
        ("--actor", "Who, for the record of changes [default: user@host]."),
    ):
        function = click.option(name, help=about)(function)
    return function
