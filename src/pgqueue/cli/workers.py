"""``pgqueue workers``: who is there, and how they are."""

from __future__ import annotations

from collections.abc import Sequence

import click

from pgqueue.admin.info import WorkerInfo
from pgqueue.cli.options import connection_options, json_option, open_client
from pgqueue.cli.output import ago, print_json, print_table

__all__ = ["print_workers", "workers"]


@click.command()
@json_option
@connection_options
def workers(as_json: bool) -> None:
    """List the workers, longest running first."""
    with open_client() as client:
        found = client.workers()
    if as_json:
        print_json(found)
    else:
        print_workers(found)


def _slots(worker: WorkerInfo) -> str:
    allowed = "" if worker.allowed_slots is None else f" (uses {worker.allowed_slots})"
    return f"{worker.running}/{worker.concurrency}{allowed}"


def print_workers(found: Sequence[WorkerInfo]) -> None:
    """Print a table of workers."""
    print_table(
        ("host", "pid", "state", "running", "heartbeat", "started", "queues", "version"),
        [
            (
                w.host,
                w.pid,
                w.state.value,
                _slots(w),
                f"{ago(w.heartbeat_age)} ago",
                w.started_at,
                w.queues,
                w.version,
            )
            for w in found
        ],
        empty="no workers",
    )
