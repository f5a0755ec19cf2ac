"""Terminals and pipes as they are: not UTF-8, or not there at all."""

from __future__ import annotations

import io
import os
import sys

import click

__all__ = ["print_exactly", "settle"]


def settle() -> None:
    """Let what a terminal has no letter for be printed as an escape, such as \\u0141.

    A closed stream becomes one that leads nowhere: a connection must not take its number.
    """
    for name, number in (("stdin", 0), ("stdout", 1), ("stderr", 2)):
        stream = getattr(sys, name)
        if stream is None:
            mode = os.O_RDONLY if number == 0 else os.O_WRONLY
            with_number = os.open(os.devnull, mode)
            setattr(sys, name, os.fdopen(with_number, "r" if number == 0 else "w"))
        elif number and isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def print_exactly(text: str) -> None:
    """Print text that a program reads, such as SQL: an escape in it would mean something else."""
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    try:
        text.encode(encoding)
    except UnicodeEncodeError as exc:
        raise click.ClickException(
            f"{encoding} has no letter {exc.object[exc.start]!a}, which is in this SQL; "
            "set PYTHONIOENCODING=utf-8"
        ) from None
    click.echo(text, nl=False)
