"""``pgqueue queues limit`` and ``pgqueue queues limits``."""

from __future__ import annotations

from typing import Any

import click

from pgqueue.admin.limit_info import QueueLimitInfo
from pgqueue.cli.known_queue import refuse_unknown
from pgqueue.cli.options import LIMIT, connection_options, json_option, open_client
from pgqueue.cli.output import Failed, print_json, print_table
from pgqueue.flow.queue_limits import KEYS
from pgqueue.flow.rate import rate_text
from pgqueue.observe.plain import plain

__all__ = ["limit", "limits"]


@click.command()
@click.argument("queue")
@click.option("--concurrency", type=LIMIT, help="So many of its jobs run at once, in all workers.")
@click.option("--rate", help="So many of its jobs begin in a time: 100/s, 60/min; or none.")
@click.option("--burst", type=LIMIT, help="With --rate: so many begin at the same moment.")
@click.option("--max-depth", type=LIMIT, help="So many of its jobs may wait; more are refused.")
@click.option("--off", is_flag=True, help="Lift all limits, also those that code declares.")
@click.option("--reset", is_flag=True, help="What code declares counts again.")
@click.option("--new", is_flag=True, help="Also where no queue has this name yet.")
@click.option("--reason", help="Why, for the record of changes.")
@click.option("--actor", help="Who, for the record of changes [default: user@host].")
@connection_options
def limit(
    queue: str,
    *,
    off: bool,
    reset: bool,
    new: bool,
    reason: str | None,
    actor: str | None,
    **given: Any,
) -> None:
    """Limit a queue for the whole fleet. What is not given stays; "none" lifts a limit.

    It wins over what code declares, also after deploys, until --reset.
    """
    changes = {
        key: None if value == "none" else value for key, value in given.items() if value is not None
    }
    if (bool(changes), off, reset).count(True) != 1:
        raise Failed("give limits, or --off, or --reset; see pgqueue queues limit --help")
    with open_client() as client:
        if not new:
            refuse_unknown(client, queue, "; --new limits it before its first job")
        verbs = client.queue_limits.by(actor, reason=reason, via="cli")
        said = None
        if off:
            verbs.off(queue)
        elif reset:
            said = "is as its code declares it" if verbs.reset(queue) else "was not changed"
        else:
            verbs.set(queue, **changes)
        found = [one for one in verbs.list() if one.queue == queue]
    limits = "".join(f": {shown}" for one in found if (shown := _in_force(one)))
    said = said or ("is limited" if limits else "is without limits")
    click.echo(f'queue "{plain(queue)}" {said}{limits}')


def _in_force(info: QueueLimitInfo) -> str:
    parts: list[str] = []
    if info.concurrency is not None:
        parts.append(f"{info.concurrency} at once")
    if info.rate is not None:
        parts.append(f"{rate_text(info.rate)}, {info.burst} at the same moment")
    if info.max_depth is not None:
        parts.append(f"{info.max_depth} may wait")
    return "; ".join(parts)


@click.command()
@json_option
@connection_options
def limits(as_json: bool) -> None:
    """List the limits of queues, and what an operator changed."""
    with open_client() as client:
        found = client.queue_limits.list()
    if as_json:
        print_json(found)
        return
    print_table(
        (
            "queue",
            "at once",
            "permits held",
            "rate",
            "burst",
            "max depth",
            "full since",
            "changed by",
            "changed at",
        ),
        [
            (
                one.queue,
                one.concurrency,
                one.held,
                _rate(one.rate),
                one.burst,
                one.max_depth,
                one.full_at,
                one.changed_by,
                one.changed_at,
            )
            for one in found
        ],
        empty="no limits",
    )
    for one in found:
        for said in _both_values(one):
            click.echo(said)


def _rate(rate: float | None) -> str:
    return "" if rate is None else rate_text(rate)


def _both_values(info: QueueLimitInfo) -> list[str]:
    """Say what an operator set in place of what code declares."""
    if info.declared is None or info.changed is None:
        return []
    return [
        plain(
            f'"{info.queue}": {key} is {_value(key, info.changed[key])}, '
            f"in code {_value(key, info.declared.get(key))}"
        )
        for key in KEYS
        if key in info.changed and info.changed[key] != info.declared.get(key)
    ]


def _value(key: str, value: Any) -> str:
    if value is None:
        return "not set"
    return rate_text(value) if key == "rate" else str(value)
