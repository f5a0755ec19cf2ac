"""The command line: ``pgqueue``. One file a command group, imported when it is used."""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["main"]


def main(args: Sequence[str] | None = None) -> None:
    """Run a command and exit with its code: 0 ok, 1 failed, 2 wrong input, 3 migrations missing."""
    from pgqueue.cli.root import cli

    cli.main(None if args is None else list(args))
