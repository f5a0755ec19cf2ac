"""``pgqueue workers``: who is there, and how they are."""

from __future__ import annotations

from collections.abc import Sequence

import click

from pgqueue.admin.info import WorkerInfo
from pgqueue.cli.options import connection_options, json_option
from pgqueue.cli.output import ago, print_json, print_table
from pgqueue.cli.over_cells import as_objects, merged, open_cells

__all__ = ["print_workers", "workers"]


@click.command()
@json_option
@connection_options
def workers(as_json: bool) -> None:
    """List the workers, longest running first."""
    with open_cells() as cells:
        found = cells.ask(lambda client: client.workers())
        if as_json:
            print_json(as_objects(found))
        else:
            print_workers(merged(found, "host"))


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
