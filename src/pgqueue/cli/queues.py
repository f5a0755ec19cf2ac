"""``pgqueue queues``: list, pause, resume, limit, limits."""

from __future__ import annotations

import heapq
from collections.abc import Sequence

import click

from pgqueue.admin.health import say_unserved
from pgqueue.admin.info import QueueInfo
from pgqueue.cli.changes import changes
from pgqueue.cli.group import Group
from pgqueue.cli.known_queue import refuse_unknown
from pgqueue.cli.limits import limit, limits
from pgqueue.cli.options import connection_options, json_option, open_client
from pgqueue.cli.output import ago, print_json, print_table
from pgqueue.cli.over_cells import as_objects, merged, open_cells
from pgqueue.observe.plain import plain

__all__ = ["fullest", "print_queues", "print_unserved", "queues"]

_MOST = 50


@click.group(cls=Group)
@connection_options
def queues() -> None:
    """List, pause, resume, limit queues."""


@queues.command("list")
@json_option
@connection_options
def list_(as_json: bool) -> None:
    """List the queues with what they hold."""
    with open_cells() as cells:
        found = cells.ask(lambda client: client.queues())
        if as_json:
            print_json(as_objects(found))
        else:
            both = merged(found, "name")
            print_queues(both)
            print_unserved(both)


def print_queues(found: Sequence[QueueInfo]) -> None:
    """Print a table of queues; of very many, those that hold the most."""
    shown = fullest(found, _MOST)
    print_table(
        (
            "queue",
            "ready",
            "running",
            "scheduled",
            "blocked",
            "oldest ready",
            "workers",
            "paused since",
        ),
        [
            (
                q.name,
                q.ready,
                q.running,
                q.scheduled,
                q.blocked,
                ago(q.oldest_ready_seconds),
                q.workers,
                q.paused_at,
            )
            for q in shown
        ],
        empty="no queues",
    )
    if len(shown) < len(found):
        click.echo(f"and {len(found) - len(shown):,} more queues, none fuller; --json has all")


def print_unserved(found: Sequence[QueueInfo]) -> None:
    """Say where jobs wait in vain: for a worker that serves their queue or knows their task, or
    since the queue is paused.
    """
    for said in say_unserved(found)[:_MOST]:
        click.echo(plain(said))


def fullest(found: Sequence[QueueInfo], most: int) -> Sequence[QueueInfo]:
    """Return all in their order if they are few, else the fullest, the fullest first."""
    if len(found) <= most:
        return found
    return heapq.nsmallest(
        most,
        found,
        key=lambda q: (-q.ready - q.running, -q.scheduled - q.blocked, q.paused_at is None, q.name),
    )


@queues.command()
@click.argument("queue")
@click.option("--new", is_flag=True, help="Also where no queue has this name yet.")
@changes
@connection_options
def pause(queue: str, new: bool, actor: str | None, reason: str | None) -> None:
    """Stop claims from a queue. What was claimed before is finished."""
    with open_client() as client:
        if not new:
            refuse_unknown(client, queue, "; --new pauses it before its first job")
        changed = client.pause(queue, actor=actor, reason=reason, via="cli")
    click.echo(f'queue "{plain(queue)}" {"is paused" if changed else "was paused already"}')


@queues.command()
@click.argument("queue")
@changes
@connection_options
def resume(queue: str, actor: str | None, reason: str | None) -> None:
    """Let workers claim from a queue again."""
    with open_client() as client:
        refuse_unknown(client, queue, "")
        changed = client.resume(queue, actor=actor, reason=reason, via="cli")
    click.echo(f'queue "{plain(queue)}" {"is resumed" if changed else "was not paused"}')


queues.add_command(limit)
queues.add_command(limits)
