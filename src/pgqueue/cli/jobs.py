"""``pgqueue jobs``: list, show, retry, cancel."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

import click

from pgqueue.admin.info import COUNT_BOUND, Count
from pgqueue.cli.group import Group
from pgqueue.cli.options import (
    JOB_ID,
    Names,
    connection_options,
    flow_option,
    json_option,
    key_option,
    limit_option,
    open_client,
    queue_option,
    task_option,
    yes_option,
)
from pgqueue.cli.output import Failed, print_json, print_table
from pgqueue.cli.show import hosts_of, list_jobs, print_job, print_retried, refuse_pages
from pgqueue.job import JobState

__all__ = ["jobs"]

_STATE = Names("state", [state.value for state in JobState])
_LIVE = Names("live state", [state.value for state in JobState if not state.is_final])
_BATCH = 1000


@click.group(cls=Group)
@connection_options
def jobs() -> None:
    """List, show, retry, cancel jobs."""


@jobs.command("list")
@click.option("--state", type=_STATE, help="Only jobs of this state.")
@queue_option
@task_option
@click.option("--tag", help="Only jobs with this tag.")
@flow_option
@key_option
@limit_option
@click.option("--before", "before_id", type=JOB_ID, help="Only ids below this one: the next page.")
@json_option
@connection_options
def list_(limit: int, before_id: int | None, as_json: bool, **filters: str | None) -> None:
    """List jobs, newest first."""
    refuse_pages(before_id)
    list_jobs(
        lambda client: client.list_jobs(limit=limit, before_id=before_id, **filters),
        limit=limit, as_json=as_json,
    )  # fmt: skip


@jobs.command()
@click.argument("job_id", type=JOB_ID, metavar="ID")
@json_option
@connection_options
def show(job_id: int, as_json: bool) -> None:
    """Show one job in full, with why it waits, and the errors of its attempts."""
    with open_client() as client:
        job = client.get_job(job_id)
        hosts = hosts_of(client) if job else None
        waits = client.why_waiting(job_id) if job and not job.state.is_final else ()
    if job is None:
        raise Failed(f"job {job_id} not found")
    print_job(job, as_json=as_json, hosts=hosts, waits=waits)


@jobs.command()
@click.argument("ids", type=JOB_ID, metavar="ID...", nargs=-1, required=True)
@json_option
@connection_options
def retry(ids: tuple[int, ...], as_json: bool) -> None:
    """Make jobs ready now: scheduled ones, and cancelled and dead ones with all attempts anew."""
    with open_client() as client:
        results = client.retry(ids)
    print_retried(results, as_json=as_json)


@jobs.command()
@click.argument("ids", type=JOB_ID, metavar="[ID]...", nargs=-1)
@click.option("--state", type=_LIVE, help="Only jobs of this state.")
@queue_option
@task_option
@click.option("--tag", help="Only jobs with this tag.")
@flow_option
@key_option
@click.option("--all", "everything", is_flag=True, help="Every live job.")
@yes_option
@json_option
@connection_options
def cancel(
    ids: tuple[int, ...], everything: bool, yes: bool, as_json: bool, **filters: str | None
) -> None:
    """Cancel jobs by id, or all that fit a filter.

    What waits is cancelled at once; a worker is asked to stop what runs. By filter it only counts,
    unless --yes is given.
    """
    if bool(ids) == (everything or any(value is not None for value in filters.values())):
        raise click.UsageError("give ids, or a filter, or --all")
    if ids:
        _cancel_ids(ids, as_json)
    else:
        _cancel_matching(filters, yes, as_json)


def _cancel_ids(ids: tuple[int, ...], as_json: bool) -> None:
    with open_client() as client:
        results = client.cancel(ids)
    if as_json:
        print_json(results)
    else:
        rows = [(r.id, r.state, "" if r.changed else "nothing to do") for r in results]
        print_table(("id", "state", ""), rows, empty="no jobs")
    missing = [str(result.id) for result in results if result.state == "missing"]
    if missing:
        raise Failed(f"job {', '.join(missing)} not found")


def _cancel_matching(filters: Mapping[str, str | None], yes: bool, as_json: bool) -> None:
    done: Counter[str] = Counter()
    with open_client() as client:
        if not yes:
            ids = client.match_jobs(limit=COUNT_BOUND + 1, **filters)
            matched = Count.bounded(len(ids))
            if as_json:
                print_json({"dry_run": True, "matched": matched})
            else:
                click.echo(f"{matched} jobs would be cancelled; add --yes to do it")
            return
        while ids := client.match_jobs(limit=_BATCH, **filters):
            changed = [result.state for result in client.cancel(ids) if result.changed]
            done.update(changed)
            if not changed:
                break
    cancelled, requested = done["cancelled"], done["requested"]
    if as_json:
        print_json({"dry_run": False, "cancelled": cancelled, "requested": requested})
    else:
        click.echo(f"{cancelled} cancelled, {requested} running ones asked to stop")
