"""What the log says of a worker's start and stop, as text: nothing is written, no clock is read."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from pgqueue.version import __version__

__all__ = [
    "STOPPING", "STOPPING_NOW", "Here", "StillRuns", "goes_on", "named", "released", "started",
    "stopping", "told_to_end", "waiting",
]  # fmt: skip

STOPPING = "stopping when running jobs are done; a second signal ends them now"
"""What a first signal asks for."""

STOPPING_NOW = "stopping now; running jobs are told to end"
"""What a second signal asks for."""

_MOST_JOBS = 10
_MOST_NAMES = 50


@dataclass(frozen=True, slots=True)
class Here:
    """Where a worker runs, and the versions of what it runs with."""

    host: str
    pid: int
    python: str
    postgresql: str


@dataclass(frozen=True, slots=True)
class StillRuns:
    """A job that has a slot. ``is_owed``: its outcome is still to come; it was not given up."""

    job_id: int
    task: str
    seconds: float
    in_thread: bool
    is_owed: bool = True

    def __str__(self) -> str:
        thread = ", in a thread" if self.in_thread else ""
        return f"job {self.job_id} ({self.task}, {self.seconds:.0f} s{thread})"


def started(
    here: Here, *, schema: str, queues: Sequence[str], concurrency: int, tasks: Sequence[str]
) -> tuple[str, dict[str, Any]]:
    """Return the line of a start and its fields."""
    text = (
        f"worker started on {here.host}, pid {here.pid}: pgqueue {__version__}, "
        f"Python {here.python}, PostgreSQL {here.postgresql}; "
        f'schema "{schema}", concurrency {concurrency}, queues {_names(queues)}; '
        f"{_count(len(tasks), 'task')}: {_names(sorted(tasks))}"
    )
    return text, {
        "host": here.host,
        "pid": here.pid,
        "pgqueue": __version__,
        "python": here.python,
        "postgresql": here.postgresql,
        "schema": schema,
        "concurrency": concurrency,
        "queues": list(queues[:_MOST_NAMES]),
        "tasks": sorted(tasks)[:_MOST_NAMES],
    }


def stopping(jobs: Sequence[StillRuns], grace: float) -> str:
    """Return what a stop begins with: how many jobs run, and how long they get."""
    owed = sum(job.is_owed for job in jobs)
    if not owed:
        return f"no job runs{goes_on(jobs)}"
    return (
        f"{_count(owed, 'job')} still {'runs' if owed == 1 else 'run'}, "
        f"with {grace:g} s to end{goes_on(jobs)}"
    )


def waiting(jobs: Sequence[StillRuns], left: float) -> str:
    """Return a line of the countdown."""
    return stopping([job for job in jobs if job.is_owed], round(left))


def told_to_end(jobs: Sequence[StillRuns], grace: float, *, forced: bool, seconds: float) -> str:
    """Return which jobs are cancelled, and why."""
    owed = [job for job in jobs if job.is_owed]
    why = "a second request to stop came" if forced else f"the {grace:g} s are over"
    return (
        f"{why}: {_count(len(owed), 'job')} {'is' if len(owed) == 1 else 'are'} told to end, "
        f"within {seconds:g} s: {named(owed)}"
    )


def released(jobs: Sequence[StillRuns]) -> str:
    """Return which jobs did not end."""
    return f"{_count(len(jobs), 'job')} did not end when told to, to be run again: {named(jobs)}"


def goes_on(jobs: Iterable[StillRuns]) -> str:
    """Return which were given up earlier and still keep a slot, as text to append; or nothing."""
    left = [job for job in jobs if not job.is_owed]
    if not left:
        return ""
    return f"; {_count(len(left), 'job')} given up earlier did not end: {named(left)}"


def named(jobs: Sequence[StillRuns]) -> str:
    """Return the first of them by name, those that have run longest before others."""
    longest = sorted(jobs, key=lambda job: -job.seconds)
    shown = ", ".join(map(str, longest[:_MOST_JOBS]))
    more = len(jobs) - _MOST_JOBS
    return f"{shown} and {more} more" if more > 0 else shown


def _names(names: Sequence[str]) -> str:
    more = len(names) - _MOST_NAMES
    return ", ".join(names[:_MOST_NAMES]) + (f" and {more} more" if more > 0 else "")


def _count(count: int, what: str) -> str:
    return f"{count} {what}" if count == 1 else f"{count} {what}s"
