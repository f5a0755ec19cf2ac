"""Options that many commands share, and the client that they lead to."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Generator, Iterable
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

import click

from pgqueue.errors import ConfigError, nearest

if TYPE_CHECKING:
    from pgqueue.cli.which_app import Choice
    from pgqueue.client import Client

    _Type = click.ParamType[Any]
else:
    _Type = click.ParamType

__all__ = [
    "JOB_ID",
    "LIMIT",
    "SECONDS",
    "Names",
    "client_of",
    "connection_options",
    "flow_option",
    "given_app",
    "given_cells",
    "given_connection",
    "given_names",
    "json_option",
    "key_option",
    "limit_option",
    "open_client",
    "queue_option",
    "task_option",
    "yes_option",
]

F = TypeVar("F", bound=Callable[..., Any])
_KEY = "pgqueue.connection."
_UNITS = {"": 1.0, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}


class Names(_Type):
    """One of these names; a wrong one gets the nearest."""

    name = "name"

    def __init__(self, what: str, names: Iterable[str]) -> None:
        self.what = what
        self.names = tuple(names)

    def get_metavar(
        self,
        param: click.Parameter,  # noqa: ARG002
        ctx: click.Context | None = None,  # noqa: ARG002
    ) -> str:
        """Show the names in the help."""
        return f"[{'|'.join(self.names)}]"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return the name, or fail with the nearest."""
        if value not in self.names:
            guess = nearest(str(value), self.names) or f"; use one of {', '.join(self.names)}"
            self.fail(f'"{value}" is no {self.what}{guess}', param, ctx)
        return str(value)


class Seconds(_Type):
    """A span: 90, 90s, 15m, 12h, 7d, 2w."""

    name = "seconds"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Return seconds."""
        if isinstance(value, (int, float)):
            return float(value)
        match = re.fullmatch(r"(\d+(?:\.\d+)?)([smhdw]?)", str(value).strip())
        if match is None:
            self.fail(f'"{value}" is no span of time; write 90, 90s, 15m, 12h, 7d', param, ctx)
        return float(match.group(1)) * _UNITS[match.group(2)]


class JobId(_Type):
    """The id of a job: a whole number."""

    name = "id"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Return the number."""
        if isinstance(value, int):
            return value
        if re.fullmatch(r"\d{1,19}", str(value)) is None or int(value) >= 2**63:
            self.fail(f'"{value}" is no job id; an id is a whole number', param, ctx)
        return int(value)


class Limit(_Type):
    """A whole number, or "none"."""

    name = "number"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> int | str:
        """Return the number, or "none"."""
        if isinstance(value, int) or value == "none":
            return value
        try:
            return int(value)
        except ValueError:
            self.fail(f'"{value}" is no limit; write a whole number, or none', param, ctx)


SECONDS = Seconds()
JOB_ID = JobId()
LIMIT = Limit()


def _remember(ctx: click.Context, param: click.Parameter, value: Any) -> None:
    """Keep an option for the whole line; those nearest to the command count."""
    if value:
        ctx.meta[f"{_KEY}{param.name}"] = value


def connection_options(function: F) -> F:
    """Accept --app, --dsn and --schema here.

    They read no environment: Client does, where none is given. Were each level to read it, the
    environment would win over an option that was given further left.
    """
    for names, metavar, about in (
        (("--schema",), "SCHEMA", "Schema of the queue [env: PGQUEUE_SCHEMA, default: pgqueue]."),
        (
            ("--dsn",),
            "DSN",
            "postgresql://user@host/database, or embedded:DIR [env: PGQUEUE_DSN]. More than once, "
            "for several servers: worker, status, jobs list, dead list, queues list, workers.",
        ),
        (
            ("--app", "-A"),
            "MODULE:APP",
            "The app, as shop.jobs:app [env: PGQUEUE_APP; default: pyproject.toml].",
        ),
    ):
        function = click.option(
            *names, expose_value=False, callback=_remember, metavar=metavar, help=about,
            multiple="--dsn" in names,
        )(function)  # fmt: skip
    return function


json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON, and nothing else.")
yes_option = click.option("--yes", is_flag=True, help="Do it; without, only count.")
queue_option = click.option("--queue", help="Only this queue.")
task_option = click.option("--task", help="Only this task.")
flow_option = click.option("--flow", help="Only jobs of this flow.")
key_option = click.option("--key", "flow_key", help="Only jobs of this key of their flow.")
limit_option = click.option(
    "--limit", type=int, default=50, show_default=True, help="How many at most, up to 1000."
)


def given_names() -> tuple[str | None, str | None]:
    """Return the app and the schema that were given as options."""
    meta = click.get_current_context().meta
    return meta.get(f"{_KEY}app"), meta.get(f"{_KEY}schema")


def given_cells() -> tuple[str, ...]:
    """Return each dsn that was given as an option, checked."""
    from pgqueue.dsn import check_cells

    dsns: tuple[str, ...] = click.get_current_context().meta.get(f"{_KEY}dsn", ())
    return check_cells(dsns) if dsns else ()


def given_connection() -> tuple[str | None, str | None]:
    """Return the dsn and the schema that were given as options, checked."""
    from pgqueue.db.statements import check_schema_name

    dsns, (_, schema) = given_cells(), given_names()
    if len(dsns) > 1:
        raise click.UsageError(f"this command is for one server; give one --dsn, not {len(dsns)}")
    return (
        dsns[0] if dsns else None,
        None if schema is None else check_schema_name(schema),
    )


def given_app(*, required: bool = False) -> Choice | None:
    """Return the app of this command line.

    A --dsn goes without the one of the project, unless the command needs an app.
    """
    from pgqueue.cli.app_of import chosen_app

    meta = click.get_current_context().meta
    given = meta.get(f"{_KEY}app")
    if given is None and f"{_KEY}dsn" in meta and not required:
        return None
    return chosen_app(given)


def client_of(dsn: str | None, schema: str | None) -> Client:
    """Return a client without an app. It works through PgBouncer as well as without."""
    from pgqueue.client import Client

    return Client(dsn, schema=schema, pool_size=1, pgbouncer=True)


@contextmanager
def open_client(*, creates: bool = False) -> Generator[Client, None, None]:
    """Lend a client for the options of this command line: its app, if there is one.

    Without an app it works through PgBouncer as well as without, so that nobody has to say which it
    is. ``creates``: where embedded:DIR has no data of a server yet, make them.
    """
    dsn, schema = given_connection()
    choice = given_app()
    if choice is None:
        if dsn is None and not os.environ.get("PGQUEUE_DSN", "").strip():
            raise ConfigError(
                "no app and no dsn: give --app MODULE:APP or --dsn, or set PGQUEUE_DSN"
            )
        client = client_of(dsn, schema)
    else:
        from pgqueue.cli.app_of import import_app

        client = import_app(choice, dsn, schema)
    client.pool.source.creates = creates
    try:
        yield client
    finally:
        client.close()
