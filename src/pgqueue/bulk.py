"""The jobs of a bulk enqueue: their check, and the order in which they are sent."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from pgqueue import calls
from pgqueue.errors import ConfigError
from pgqueue.job import Enqueued, NewJob

__all__ = ["back_in_order", "check_jobs", "in_key_order"]


def in_key_order(jobs: Sequence[NewJob], size: int) -> tuple[Sequence[NewJob], list[int] | None]:
    """Return the jobs in the order of their unique keys, where it takes several statements.

    A statement takes its keys in their order by itself. Two calls that took them in different
    orders, a statement at a time, would wait for each other.
    """
    one = len(jobs) <= calls.CHUNK and size <= calls.CHUNK_CHARACTERS
    if one or not any(job.options.get("unique_key") for job in jobs):
        return jobs, None
    order = sorted(range(len(jobs)), key=lambda n: jobs[n].options.get("unique_key") or "")
    return [jobs[n] for n in order], order


def back_in_order(done: list[Enqueued], order: list[int] | None) -> list[Enqueued]:
    """Return what became of the jobs in the order in which they were given."""
    if order is None:
        return done
    return [one for _, one in sorted(zip(order, done, strict=True), key=lambda pair: pair[0])]


def check_jobs(jobs: Iterable[NewJob]) -> list[NewJob]:
    """Return the jobs as a list; ConfigError for what is none."""
    if not isinstance(jobs, Iterable):  # pyright: ignore[reportUnnecessaryIsInstance]
        hint = "; write [job]" if isinstance(jobs, NewJob) else ""
        raise ConfigError(f"jobs must be a list of job values, got {type(jobs).__name__}{hint}")
    checked = list(jobs)
    for n, job in enumerate(checked):
        if not isinstance(job, NewJob):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise ConfigError(
                f"jobs[{n}] must be a job value, as task.job(...) returns, got {job!r}"
            )
    return checked
