"""Commands that look at several servers: each is asked, and one that is away is named."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Generator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, TypeVar

import click
import msgspec
from msgspec import structs

from pgqueue.cli.options import client_of, given_cells, given_names, open_client
from pgqueue.cli.output import Failed
from pgqueue.client import Client
from pgqueue.dsn import cell_names
from pgqueue.errors import ConfigError, PgQueueError
from pgqueue.observe.plain import plain

__all__ = ["Cells", "as_objects", "labelled", "merged", "open_cells"]

T = TypeVar("T")
S = TypeVar("S", bound=msgspec.Struct)


class Cells:
    """Clients by the name of their cell; a single one has the name "".

    ``away``: what those said that did not answer the last question.
    """

    def __init__(self, clients: Mapping[str, Client]) -> None:
        self._clients = clients
        self.away: dict[str, str] = {}

    @property
    def are_several(self) -> bool:
        """True if answers have to say from where they are."""
        return len(self._clients) > 1

    def ask(self, question: Callable[[Client], T]) -> dict[str, T]:
        """Ask all at once; return the answers of those that are there, in the order given.

        Raises what a single one raises; of several, Failed if none answers.
        """
        if not self.are_several:
            return {name: question(client) for name, client in self._clients.items()}
        self.away = {}
        found: dict[str, T] = {}
        with ThreadPoolExecutor(len(self._clients)) as threads:
            asked = {
                name: threads.submit(question, client) for name, client in self._clients.items()
            }
            for name, answer in asked.items():
                try:
                    found[name] = answer.result()
                except ConfigError:
                    raise
                except PgQueueError as exc:
                    self.away[name] = str(exc)
        if not found:
            self.say_away()
            raise Failed("no server answers")
        return found

    def say_away(self) -> None:
        """Name those that did not answer, on stderr."""
        for name, why in self.away.items():
            click.echo(plain(f"{name} does not answer: {why}"), err=True)


@contextmanager
def open_cells() -> Generator[Cells, None, None]:
    """Lend a client for each --dsn of this command line; for one or none, as ``open_client``."""
    dsns = given_cells()
    if len(dsns) < 2:
        with open_client() as client:
            yield Cells({"": client})
        return
    app, schema = given_names()
    if app is not None:
        raise click.UsageError("give --app with one --dsn, or several --dsn without it")
    with contextlib.ExitStack() as stack:
        clients: dict[str, Client] = {}
        for name, dsn in zip(cell_names(dsns), dsns, strict=True):
            clients[name] = stack.enter_context(client_of(dsn, schema))
        cells = Cells(clients)
        yield cells
        cells.say_away()


def labelled(cell: str, text: object) -> str:
    """Return the text with the name of its cell before it, where there are several."""
    return f"{cell}:{text}" if cell else str(text)


def merged(found: Mapping[str, Sequence[S]], field: str) -> list[S]:
    """Return the values of all cells, each with the name of its cell before this field."""
    return [
        structs.replace(one, **{field: labelled(cell, getattr(one, field))})
        for cell, some in found.items()
        for one in some
    ]


def as_objects(found: Mapping[str, Sequence[msgspec.Struct]]) -> list[Any]:
    """Return what is printed as JSON: where there are several cells, with the name of each."""
    return [
        {"cell": cell, **{name: getattr(one, name) for name in one.__struct_fields__}}
        if cell
        else one
        for cell, some in found.items()
        for one in some
    ]
