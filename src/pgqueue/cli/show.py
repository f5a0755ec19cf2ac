"""How jobs are printed: a table of many, one in full."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime

import click

from pgqueue.admin.info import AttemptError, JobInfo, JobPage
from pgqueue.admin.results import RetryResult
from pgqueue.cli.attempts import ran_seconds, tracebacks_once, waited_seconds
from pgqueue.cli.options import given_cells
from pgqueue.cli.output import Failed, ago, moment, print_json, print_pairs, print_table
from pgqueue.cli.over_cells import as_objects, labelled, open_cells
from pgqueue.client import Client
from pgqueue.job import JobState
from pgqueue.observe.plain import plain

__all__ = [
    "hosts_of",
    "how_to_go_on",
    "list_jobs",
    "print_job",
    "print_jobs",
    "print_retried",
    "refuse_pages",
]


def list_jobs(list_of: Callable[[Client], JobPage], *, limit: int, as_json: bool) -> None:
    """Print a page of jobs: of several servers the newest, each with the name of its cell."""
    with open_cells() as cells:
        found = cells.ask(list_of)
        both = [(cell, job) for cell, some in found.items() for job in some]
        if cells.are_several:
            both = sorted(both, key=lambda pair: pair[1].enqueued_at, reverse=True)[:limit]
        if as_json:
            print_json([one for cell, job in both for one in as_objects({cell: [job]})])
        else:
            last = all(page.before_id is None for page in found.values())
            print_jobs(both, empty="no jobs" if last else "none of the newest jobs fits")
        for hint in how_to_go_on(found, limit):
            click.echo(plain(hint), err=True)


def how_to_go_on(found: Mapping[str, JobPage], limit: int) -> list[str]:
    """Return what to do where there may be more. ``found``: by the names of the cells."""
    if sum(map(len, found.values())) > limit:
        return ["there may be more: a larger --limit"]
    hints: list[str] = []
    for cell, page in found.items():
        if page.before_id is not None:
            where, other = (f" on {cell}", "its --dsn alone and ") if cell else ("", "")
            hints.append(
                f"there may be more{where}: repeat the command with {other}"
                f"--before {page.before_id}"
            )
    return hints


def refuse_pages(before_id: int | None) -> None:
    """Refuse --before for several servers: each numbers its jobs by itself."""
    if before_id is not None and len(given_cells()) > 1:
        raise click.UsageError("--before is an id of one server; give one --dsn with it")


def print_jobs(found: Sequence[tuple[str, JobInfo]], *, empty: str = "no jobs") -> None:
    """Print jobs, each with the name of its cell; a single one has the name "".

    ``empty``: what is said where there are none.
    """
    # One time a row, so that a row fits a terminal of 80 columns.
    print_table(
        ("id", "state", "queue", "task", "pri", "attempt", "due or ended", "error"),
        [
            (
                labelled(cell, job.id),
                job.state.value,
                job.queue,
                job.task,
                job.priority,
                f"{job.attempt}/{job.max_attempts}",
                job.finished_at or job.run_at,
                _short(_why(job)),
            )
            for cell, job in found
        ],
        empty=empty,
    )


def _why(job: JobInfo) -> str:
    """Return the last error; of a dead job its reason, unless that only names the error.

    What a completed job met on its way is in ``jobs show``.
    """
    if job.state is JobState.COMPLETED:
        return ""
    last = job.errors[-1] if job.errors else None
    if last is None or (job.reason is not None and last.type not in job.reason):
        return job.reason or ""
    return f"{last.type.rpartition('.')[2]}: {last.message}"


def _short(text: str) -> str:
    return text if len(text) <= 100 else f"{text[:99]}…"


def hosts_of(client: Client) -> Mapping[int, str]:
    """Return where registered workers are, by id."""
    return {worker.id: f"{worker.host}:{worker.pid}" for worker in client.workers()}


def print_job(
    job: JobInfo,
    *,
    as_json: bool,
    hosts: Mapping[int, str] | None = None,
    waits: Sequence[str] = (),
) -> None:
    """Print one job in full, with the errors of its attempts.

    ``hosts``: where registered workers are, by id. ``waits``: what keeps it from running.
    """
    if as_json:
        fields = {name: getattr(job, name) for name in job.__struct_fields__}
        print_json({**fields, "why_waiting": list(waits)})
        return
    now = datetime.now(UTC)
    _print_fields(job, now, hosts or {}, waits)
    _print_errors(job, now)


def _flow(job: JobInfo) -> str | None:
    """Return the flow of a job with its key and its weight."""
    if job.flow is None:
        return None
    key = f" / {job.flow_key}" if job.flow_key else ""
    return f"{job.flow}{key}" + (f", weight {job.weight}" if job.weight not in (None, 1) else "")


def _print_fields(
    job: JobInfo, now: datetime, hosts: Mapping[int, str], waits: Sequence[str]
) -> None:
    ran = ran_seconds(job.claimed_at, job.finished_at, now)
    still = " so far" if job.state is JobState.RUNNING else ""
    worker = job.worker_id
    print_pairs(
        (
            ("id", job.id),
            ("state", "cancelled: it expired" if job.has_expired else job.state.value),
            ("reason", job.reason),
            ("waits", "; ".join(waits)),
            ("queue", job.queue),
            ("task", job.task),
            ("args", json.dumps(job.args, ensure_ascii=False)),
            ("priority", job.priority),
            ("attempt", f"{job.attempt} of {job.max_attempts}"),
            ("crashes", job.crash_count or None),
            ("timeout", None if job.timeout_seconds is None else f"{job.timeout_seconds:g} s"),
            ("unique key", job.unique_key),
            ("flow", _flow(job)),
            ("tags", job.tags),
            ("metadata", job.metadata and json.dumps(job.metadata, ensure_ascii=False)),
            ("enqueued", job.enqueued_at),
            ("run at", job.run_at),
            ("expires", job.expires_at),
            ("claimed", job.claimed_at),
            ("finished", job.finished_at),
            ("waited", ago(waited_seconds(job))),
            ("ran", None if ran is None else f"{ago(ran)}{still}"),
            ("worker", None if worker is None else hosts.get(worker, worker)),
        )
    )


def _print_errors(job: JobInfo, now: datetime) -> None:
    for error, same in tracebacks_once(job.errors):
        click.echo()
        click.echo(plain(_headline(error, now)))
        click.echo(plain(f"  {error.type}: {error.message}"))
        if same is not None:
            click.echo(f"    the traceback is that of attempt {same}")
            continue
        for line in error.traceback.rstrip().split("\n") if error.traceback else ():
            click.echo(f"    {plain(line)}")


def _headline(error: AttemptError, now: datetime) -> str:
    """Say when an attempt ended, how long it took, and where it ran."""
    parts = [f"attempt {error.attempt}"]
    if error.at is not None:
        parts.append(moment(error.at))
        if (ran := ran_seconds(error.claimed_at, error.at, now)) is not None:
            parts.append(f"after {ago(ran)}")
    if error.worker:
        parts.append(f"on {error.worker}")
    return " ".join(parts)


def print_retried(results: Sequence[RetryResult], *, as_json: bool) -> None:
    """Print what became of retries; fail where a job is not there, or its key is taken."""
    if as_json:
        print_json(results)
    else:
        print_table(
            ("id", "state", ""),
            [(result.id, result.state, _note(result)) for result in results],
            empty="no jobs",
        )
    missing = [result.id for result in results if result.state == "missing"]
    held = [result for result in results if result.holder is not None]
    if missing:
        raise Failed(f"job {', '.join(map(str, missing))} not found")
    if held:
        raise Failed(
            f"job {', '.join(str(result.id) for result in held)} left as it was: "
            f"job {held[0].holder} has its unique key"
        )


def _note(result: RetryResult) -> str:
    if result.changed:
        return "in line now" if result.state == JobState.BLOCKED else "ready now"
    if result.holder is not None:
        return f"left as it was: job {result.holder} has its unique key"
    return "" if result.state == "missing" else "left as it was"
