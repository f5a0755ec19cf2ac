"""``pgqueue queues``: list, pause, resume."""

from __future__ import annotations

import heapq
from collections.abc import Sequence

import click

from pgqueue.admin.info import QueueInfo
from pgqueue.cli.group import Group
from pgqueue.cli.options import connection_options, json_option, open_client
from pgqueue.cli.output import ago, print_json, print_table
from pgqueue.observe.plain import plain

__all__ = ["fullest", "print_queues", "queues"]

_MOST = 50


@click.group(cls=Group)
@connection_options
def queues() -> None:
    """List, pause, resume queues."""


@queues.command("list")
@json_option
@connection_options
def list_(as_json: bool) -> None:
    """List the queues with what they hold."""
    with open_client() as client:
        found = client.queues()
    if as_json:
        print_json(found)
    else:
        print_queues(found)


def print_queues(found: Sequence[QueueInfo]) -> None:
    """Print a table of queues; of very many, those that hold the most."""
    shown = fullest(found, _MOST)
    print_table(
        ("queue", "ready", "running", "scheduled", "oldest ready", "paused since"),
        [
            (q.name, q.ready, q.running, q.scheduled, ago(q.oldest_ready_seconds), q.paused_at)
            for q in shown
        ],
        empty="no queues",
    )
    if len(shown) < len(found):
        click.echo(f"and {len(found) - len(shown):,} more queues, none fuller; --json has all")


def fullest(found: Sequence[QueueInfo], most: int) -> Sequence[QueueInfo]:
    """Return all in their order if they are few, else the fullest, the fullest first."""
    if len(found) <= most:
        return found
    return heapq.nsmallest(
        most, found, key=lambda q: (-q.ready - q.running, -q.scheduled, q.paused_at is None, q.name)
    )


@queues.command()
@click.argument("queue")
@connection_options
def pause(queue: str) -> None:
    """Stop claims from a queue. What was claimed before is finished."""
    with open_client() as client:
        changed = client.pause(queue)
    click.echo(f'queue "{plain(queue)}" {"is paused" if changed else "was paused already"}')


@queues.command()
@click.argument("queue")
@connection_options
def resume(queue: str) -> None:
    """Let workers claim from a queue again."""
    with open_client() as client:
        changed = client.resume(queue)
    click.echo(f'queue "{plain(queue)}" {"is resumed" if changed else "was not paused"}')
