"""``pgqueue enqueue``: one job, from a shell."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from datetime import datetime
from typing import Any, cast

import click

from pgqueue.cli.options import SECONDS, connection_options, json_option, open_client
from pgqueue.cli.output import print_json
from pgqueue.errors import UnknownTask
from pgqueue.observe.plain import plain

__all__ = ["enqueue", "read_moment", "read_object"]


@click.command()
@click.argument("task")
@click.argument("args", metavar="[JSON]", required=False)
@click.option("--queue", help="The queue [default: the task's].")
@click.option("--priority", type=int, help="0 (first) to 9 (last) [default: the task's].")
@click.option("--delay", type=SECONDS, help="Due so much later: 90s, 12h, 7d.")
@click.option("--run-at", metavar="TIME", help="Due then: 2030-01-31T08:00:00+01:00.")
@click.option("--max-attempts", type=int, help="How often it is tried [default: the task's].")
@click.option("--timeout", type=SECONDS, help="How long an attempt may take.")
@click.option("--expires", type=SECONDS, help="After so long no attempt begins any more.")
@click.option("--unique-key", help="While a job with this key is alive, no other is made.")
@click.option(
    "--unique", metavar="JSON", help="""What is the same job: '{"by": ["user_id"], "wait": 2}'."""
)
@click.option("--flow", help="A flow, whose limits hold for it [default: the task's].")
@click.option("--flow-key", help="Its tenant, customer or account in the flow.")
@click.option("--weight", type=int, help="How many tokens of a rate it takes [default: 1].")
@click.option("--tag", "tags", multiple=True, help="A label; more than once for more.")
@click.option("--metadata", metavar="JSON", help="An object that the job carries.")
@json_option
@connection_options
def enqueue(task: str, args: str | None, as_json: bool, **given: Any) -> None:
    """Enqueue a job of a task.

    JSON is an object of the task's parameters by name, as '{"order_id": 17}'; - reads it from
    stdin. With an app (--app), the task and its arguments are checked, and the task's own options
    count where none are given here. Without one, the job is enqueued by name, as it is.
    """
    values = read_object(sys.stdin.read() if args == "-" else args or "{}", "JSON")
    options = _options(given)
    with open_client() as client:
        try:
            job = client.job(task, values, **cast("Any", options))
            _refuse_unknown(client, task)
        except UnknownTask as exc:
            raise UnknownTask(f"{exc}; --dsn enqueues by name, without the app") from None
        done = client.enqueue_job(job, None)
    if as_json:
        print_json(done)
    elif done.replaced:
        click.echo(f"job {done.id} waited with this unique key, and was changed ({done.state})")
    elif done.duplicate:
        click.echo(f"job {done.id} has this unique key already ({done.state}); none was made")
    else:
        queue = plain(job.options["queue"])
        click.echo(f'job {done.id} of "{plain(task)}" is {done.state} in queue "{queue}"')


def _refuse_unknown(client: object, task: str) -> None:
    """An app knows its tasks; a client without one knows none, and takes every name."""
    from pgqueue.app import App

    if isinstance(client, App):
        client.tasks.get(task)


def _options(given: Mapping[str, Any]) -> dict[str, Any]:
    options = {name: value for name, value in given.items() if value is not None and value != ()}
    if "run_at" in options:
        options["run_at"] = read_moment(options["run_at"], ", or --delay 12h")
    if "unique" in options:
        options["unique"] = read_object(options["unique"], "--unique")
    if "metadata" in options:
        options["metadata"] = read_object(options["metadata"], "--metadata")
    return options


def read_object(text: str, what: str) -> dict[str, Any]:
    """Return a JSON object; ``what`` names it in the error."""
    try:
        value: object = json.loads(text)
    except ValueError as exc:
        raise click.UsageError(
            f"{what} cannot be read: {exc}; in a shell, put it in '...': '{{\"name\": \"x\"}}'"
        ) from None
    if not isinstance(value, dict):
        raise click.UsageError(
            f'{what} must be an object of parameters by name, as \'{{"name": "x"}}\'; '
            f"got {text[:60]}"
        )
    return cast("dict[str, Any]", value)


def read_moment(text: str, otherwise: str = "") -> datetime:
    """Return a moment in ISO 8601, with its time zone.

    ``otherwise``: what else may be written, for the error.
    """
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise click.UsageError(
            f'"{text}" is no moment; write 2030-01-31T08:00:00+01:00{otherwise}'
        ) from None
    if moment.utcoffset() is None:
        raise click.UsageError(
            f'"{text}" has no time zone; write {moment.isoformat()}Z for UTC, or +01:00 at its end'
        )
    return moment
