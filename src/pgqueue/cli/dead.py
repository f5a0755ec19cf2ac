"""``pgqueue dead``: list, show, redrive, purge."""

from __future__ import annotations

import click

from pgqueue.admin.results import RedriveResult, RetryResult
from pgqueue.cli.group import Group
from pgqueue.cli.options import (
    JOB_ID,
    SECONDS,
    connection_options,
    json_option,
    limit_option,
    open_client,
    queue_option,
    task_option,
    yes_option,
)
from pgqueue.cli.output import Failed, print_json, print_table
from pgqueue.cli.over_cells import as_objects, labelled, open_cells
from pgqueue.cli.show import hosts_of, list_jobs, print_job, print_retried, refuse_pages
from pgqueue.client import Client
from pgqueue.job import JobState

__all__ = ["dead"]

_Filters = tuple[str | None, str | None, str | None, float | None]
_reason_option = click.option("--reason", help="Only with this in the reason.")
_older_option = click.option(
    "--older-than", type=SECONDS, help="Only those that died longer ago: 90s, 12h, 7d."
)
_all_option = click.option("--all", "everything", is_flag=True, help="Every dead letter.")


@click.group(cls=Group)
@connection_options
def dead() -> None:
    """List, show, redrive, purge dead letters: jobs that will not be tried again."""


@dead.command("list")
@queue_option
@task_option
@_reason_option
@limit_option
@click.option("--before", "before_id", type=JOB_ID, help="Only ids below this one: the next page.")
@click.option("--count", is_flag=True, help="Count by queue and task instead.")
@json_option
@connection_options
def list_(
    queue: str | None,
    task: str | None,
    reason: str | None,
    limit: int,
    before_id: int | None,
    count: bool,
    as_json: bool,
) -> None:
    """List dead letters, newest first."""
    if count:
        _print_counts(as_json)
        return
    refuse_pages(before_id)
    list_jobs(
        lambda client: client.list_dead(
            queue=queue, task=task, reason=reason, limit=limit, before_id=before_id
        ),
        limit=limit, as_json=as_json,
    )  # fmt: skip


def _print_counts(as_json: bool) -> None:
    with open_cells() as cells:
        found = cells.ask(lambda client: client.count_dead())
        if as_json:
            print_json(as_objects(found))
            return
        print_table(
            ("queue", "task", "jobs", "oldest", "newest"),
            [
                (labelled(cell, c.queue), c.task, c.jobs, c.oldest, c.newest)
                for cell, counts in found.items()
                for c in counts
            ],
            empty="no dead letters",
        )


@dead.command()
@click.argument("job_id", type=JOB_ID, metavar="ID")
@json_option
@connection_options
def show(job_id: int, as_json: bool) -> None:
    """Show one dead letter in full, with the errors of its attempts."""
    with open_client() as client:
        job = client.get_job(job_id)
        hosts = hosts_of(client) if job else None
    if job is None:
        raise Failed(f"job {job_id} not found")
    if job.state is not JobState.DEAD:
        raise Failed(f"job {job_id} is not dead but {job.state}; see: pgqueue jobs show {job_id}")
    print_job(job, as_json=as_json, hosts=hosts)


@dead.command()
@click.argument("ids", type=JOB_ID, metavar="[ID]...", nargs=-1)
@queue_option
@task_option
@_reason_option
@_older_option
@_all_option
@yes_option
@json_option
@connection_options
def redrive(
    ids: tuple[int, ...],
    queue: str | None,
    task: str | None,
    reason: str | None,
    older_than: float | None,
    everything: bool,
    yes: bool,
    as_json: bool,
) -> None:
    """Make dead jobs ready again, by id, or all that fit a filter.

    They keep their id and their errors, and get all their attempts anew. By filter it only counts,
    unless --yes is given.
    """
    filters = _filters(ids, (queue, task, reason, older_than), everything, exclusive=True)
    with open_client() as client:
        if ids:
            print_retried(client.redrive(ids).jobs, as_json=as_json)
            return
        result = _redrive_once(client, filters, after_id=None, dry_run=not yes)
        jobs: list[RetryResult] = list(result.jobs)
        while yes and result.more:
            result = _redrive_once(client, filters, after_id=result.last_id, dry_run=False)
            jobs += result.jobs
    if not yes and as_json:
        print_json({"dry_run": True, "matched": result.matched})
    elif not yes:
        click.echo(f"{result.matched} dead letters would be redriven; add --yes to do it")
    else:
        _print_redriven(jobs, as_json)


def _redrive_once(
    client: Client, filters: _Filters, *, after_id: int | None, dry_run: bool
) -> RedriveResult:
    queue, task, reason, older_than = filters
    return client.redrive(
        queue=queue,
        task=task,
        reason=reason,
        older_than=older_than,
        after_id=after_id,
        dry_run=dry_run,
    )


def _print_redriven(jobs: list[RetryResult], as_json: bool) -> None:
    redriven = sum(job.changed for job in jobs)
    held = [job for job in jobs if job.holder is not None]
    if as_json:
        print_json({"dry_run": False, "redriven": redriven, "held": held})
        return
    click.echo(f"{redriven} redriven")
    for job in held:
        click.echo(f"job {job.id} left dead: job {job.holder} has its unique key")


@dead.command()
@click.argument("ids", type=JOB_ID, metavar="[ID]...", nargs=-1)
@queue_option
@task_option
@_reason_option
@_older_option
@_all_option
@yes_option
@json_option
@connection_options
def purge(
    ids: tuple[int, ...],
    queue: str | None,
    task: str | None,
    reason: str | None,
    older_than: float | None,
    everything: bool,
    yes: bool,
    as_json: bool,
) -> None:
    """Delete dead letters for good, by id, or all that fit a filter.

    It only counts, unless --yes is given.
    """
    given = (queue, task, reason, older_than)
    queue, task, reason, older_than = _filters(ids, given, everything, exclusive=False)
    matched, deleted, more = None, 0, True
    with open_client() as client:
        while more:
            result = client.purge_dead(
                ids or None,
                queue=queue,
                task=task,
                reason=reason,
                older_than=older_than,
                dry_run=not yes,
            )
            matched, deleted = result.matched, deleted + result.deleted
            more = result.more and yes
    if as_json:
        print_json(
            {"dry_run": False, "deleted": deleted} if yes else {"dry_run": True, "matched": matched}
        )
    elif yes:
        click.echo(f"{deleted} deleted")
    else:
        click.echo(f"{matched} dead letters would be deleted; add --yes to do it")


def _filters(
    ids: tuple[int, ...], given: _Filters, everything: bool, *, exclusive: bool
) -> _Filters:
    """Return the filters, checked: something must be said, and --all only by itself."""
    some = any(value is not None for value in given)
    if everything and (ids or some):
        raise click.UsageError("give --all by itself, without ids or filters")
    if not (ids or some or everything):
        raise click.UsageError("give ids, or a filter, or --all")
    if exclusive and ids and some:
        raise click.UsageError("give ids or a filter, not both")
    return (*given[:3], 0.0) if everything else given
