"""Text that a program reads, such as SQL for psql."""

from __future__ import annotations

import sys

import click

__all__ = ["print_exactly"]


def print_exactly(text: str) -> None:
    """Print it as it is or not at all: an escape in it would mean something else."""
    try:
        text.encode(getattr(sys.stdout, "encoding", None) or "utf-8")
    except UnicodeEncodeError as exc:
        raise click.ClickException(
            f"stdout is not UTF-8, and {exc.object[exc.start]!a} is in this SQL; "
            "set PYTHONIOENCODING=utf-8"
        ) from None
    click.echo(text, nl=False)
