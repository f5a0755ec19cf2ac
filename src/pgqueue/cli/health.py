"""``pgqueue health``: for a monitor, by its exit code."""

from __future__ import annotations

import click

from pgqueue.admin.health import judge
from pgqueue.app import App
from pgqueue.cli.options import SECONDS, connection_options, json_option, open_client
from pgqueue.cli.output import ago, print_json
from pgqueue.config import check_queue
from pgqueue.observe.plain import plain

__all__ = ["health"]


@click.command()
@click.option("--queue", "queues", multiple=True, help="Judge this queue; more than once for more.")
@click.option(
    "--max-age", type=SECONDS, default=900, show_default="15m",
    help="How long a ready job may have waited.",
)  # fmt: skip
@json_option
@connection_options
def health(queues: tuple[str, ...], max_age: float, as_json: bool) -> None:
    """Say whether jobs are worked off: exit code 0 if so, 1 if not, with the reasons.

    It asks for a database that answers, a schema that fits, a live worker for each queue that holds
    jobs (with --app also for those of its tasks, with --queue for these alone), workers that know
    the tasks of the ready jobs, and no ready job that has waited for longer than --max-age. A queue
    that is paused is not judged.
    """
    only = tuple(check_queue(name) for name in queues)
    with open_client() as client:
        status = client.status()
        wanted = [task.queue for task in client.tasks] if isinstance(client, App) else []
    found = judge(status, max_age=max_age, wanted=only or wanted, only=bool(only))
    if as_json:
        print_json(found)
    else:
        for problem in found.problems:
            click.echo(plain(problem))
        if found.ok:
            age = found.oldest_ready_seconds
            oldest = "nothing is ready" if age is None else f"the oldest ready job waits {ago(age)}"
            workers = "1 live worker" if found.workers == 1 else f"{found.workers} live workers"
            click.echo(f"ok: {workers}, {oldest}")
    click.get_current_context().exit(0 if found.ok else 1)
