"""``pgqueue health``: for a monitor, by its exit code."""

from __future__ import annotations

import socket

import click

from pgqueue.admin.health import Health, HostHealth, judge, judge_host
from pgqueue.app import App
from pgqueue.cli.options import SECONDS, connection_options, json_option, open_client
from pgqueue.cli.output import ago, print_json
from pgqueue.config import check_int, check_queue
from pgqueue.errors import ConfigError
from pgqueue.observe.plain import plain

__all__ = ["health"]


@click.command()
@click.option("--queue", "queues", multiple=True, help="Judge this queue; more than once for more.")
@click.option(
    "--max-age", type=SECONDS,
    help="How long a job may have waited since it was due [default: 15m].",
)  # fmt: skip
@click.option(
    "--max-dead", type=int, help="How many dead letters all queues may have [default: any]."
)
@click.option("--here", is_flag=True, help="Judge the workers of this host, and nothing else.")
@json_option
@connection_options
def health(
    queues: tuple[str, ...], max_age: float | None, max_dead: int | None, here: bool, as_json: bool
) -> None:
    """Say whether jobs are worked off: exit code 0 if so, 1 if not, with the reasons.

    It asks for a database that answers, a schema that fits, a live worker for each queue that holds
    jobs (with --app also for those of its tasks, with --queue for these alone), workers that know
    the tasks of the ready jobs, no job that has waited for longer than --max-age since it was due,
    and no schedule that should have fired a minute ago, or that no worker's code declares any more.
    A queue or a schedule that is paused is not judged, nor are schedules with --queue.

    --here is for a probe of one container: it asks for a live worker on the host that it runs on.
    Neither a backlog nor what other hosts do makes it fail. A worker's role may ask it.
    """
    if max_dead is not None:
        check_int(max_dead, "max-dead", 0)
    if here and (queues or max_age is not None or max_dead is not None):
        raise ConfigError("--here looks at no queue: leave out --queue, --max-age and --max-dead")
    found = _here() if here else _everywhere(queues, 900 if max_age is None else max_age, max_dead)
    if as_json:
        print_json(found)
    else:
        for problem in found.problems:
            click.echo(plain(problem))
        if found.ok:
            click.echo(f"ok: {plain(_praise(found))}")
    click.get_current_context().exit(0 if found.ok else 1)


def _here() -> HostHealth:
    with open_client() as client:
        return judge_host(client.workers(), socket.gethostname())


def _everywhere(queues: tuple[str, ...], max_age: float, max_dead: int | None) -> Health:
    only = tuple(check_queue(name) for name in queues)
    with open_client() as client:
        status = client.status()
        wanted = [task.queue for task in client.tasks] if isinstance(client, App) else []
    return judge(status, max_age=max_age, max_dead=max_dead, wanted=only or wanted, only=bool(only))


def _praise(found: Health | HostHealth) -> str:
    workers = "1 live worker" if found.workers == 1 else f"{found.workers} live workers"
    if isinstance(found, HostHealth):
        return f'{workers} on host "{found.host}"'
    age = found.oldest_ready_seconds
    oldest = "nothing is ready" if age is None else f"the oldest ready job waits {ago(age)}"
    return f"{workers}, {oldest}"
