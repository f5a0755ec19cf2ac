"""What commands print: tables for people, JSON for programs. Data never acts on the terminal."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timezone
from typing import Any

import click
import msgspec

from pgqueue.admin.info import Count
from pgqueue.observe.plain import plain

__all__ = ["Failed", "ago", "moment", "print_json", "print_pairs", "print_table"]

_WHOLE = 20  # letters of a time, as moment() writes it
_NARROW = 6  # columns that a folded text gets at least


class Failed(click.ClickException):
    """A command that could not do what it was asked: one line on stderr, exit code 1."""

    exit_code = 1


def print_json(value: object) -> None:
    """Print one JSON value on one line, in ASCII, so that no terminal acts on it."""
    click.echo(json.dumps(_jsonable(value)).replace("\x7f", "\\u007f"))


def _jsonable(value: Any) -> Any:
    """Structs become objects, times ISO 8601; ``inexact`` names counts that are not exact."""
    match value:
        case Count():
            return int(value)
        case datetime():
            return value.isoformat()
        case Mapping():
            return _object(value)  # pyright: ignore[reportUnknownArgumentType]
        case list() | tuple():
            return [_jsonable(item) for item in value]  # pyright: ignore[reportUnknownVariableType]
        case msgspec.Struct():
            return _object({name: getattr(value, name) for name in value.__struct_fields__})
        case _:
            return value


def _object(fields: Mapping[str, Any]) -> dict[str, Any]:
    out = {str(name): _jsonable(value) for name, value in fields.items()}
    counts = {name: value for name, value in fields.items() if isinstance(value, Count)}
    if counts:
        out["inexact"] = {
            name: value.precision for name, value in counts.items() if not value.exact
        }
    return out


def print_table(columns: Sequence[str], rows: Iterable[Sequence[object]], *, empty: str) -> None:
    """Print a table; ``empty`` is said, on stderr, when there is nothing in it.

    Where it is wider than the terminal, its long texts are folded; times, numbers and short words
    never are.
    """
    from rich.box import SIMPLE_HEAD
    from rich.cells import cell_len
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=SIMPLE_HEAD, pad_edge=False, show_edge=False, padding=(0, 1, 0, 0))
    cells = [[_cell(value) for value in row] for row in rows]
    least = 0
    for index, column in enumerate(columns):
        longest = max((cell_len(row[index]) for row in cells), default=0)
        table.add_column(column, overflow="fold", no_wrap=longest <= _WHOLE)
        least += 2 + (max(len(column), longest) if longest <= _WHOLE else _NARROW)
    for row in cells:
        table.add_row(*map(Text, row))
    if not table.row_count:
        click.echo(empty, err=True)
        return
    stream = sys.stdout
    # A pipe has no width: whatever reads it gets whole lines.
    console = Console(file=stream, width=None if stream.isatty() else 1000)
    console.width = max(console.width, least)
    with console.capture() as captured:
        console.print(table)
    click.echo("\n".join(line.rstrip() for line in captured.get().rstrip("\n").split("\n")))


def _cell(value: object) -> str:
    match value:
        case None:
            return ""
        case bool():
            return "yes" if value else "no"
        case datetime():
            return moment(value)
        case list() | tuple():
            return ", ".join(plain(item) for item in value)  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
        case _:
            return plain(value)


def print_pairs(pairs: Iterable[tuple[str, object]]) -> None:
    """Print names and values, one pair a line; those without a value are left out."""
    shown = [(name, _cell(value)) for name, value in pairs]
    wide = max((len(name) for name, _ in shown), default=0)
    for name, text in shown:
        if text:
            click.echo(f"{name:<{wide}}  {text}")


def moment(time: datetime) -> str:
    """Return a time in UTC, to the second."""
    return time.astimezone(timezone.utc).strftime("%Y-%m-%d %H:%M:%SZ")  # noqa: UP017


def ago(seconds: float | None) -> str:
    """Return a span as people say it: 850ms, 12s, 5m, 3h, 2d."""
    if seconds is None:
        return ""
    sign, span = ("-", -seconds) if seconds < 0 else ("", seconds)
    if span < 1:
        return f"{sign}{span * 1000:.0f}ms"
    for unit, size, most in (("s", 1, 120), ("m", 60, 7200), ("h", 3600, 172800)):
        if span < most:
            return f"{sign}{span / size:.0f}{unit}"
    return f"{sign}{span / 86400:.0f}d"
