"""Jobs to be enqueued as calls of the database, and what it answers as what became of each.

Most jobs have none but the options that every job has: one goes as plain values, and many that
differ in their arguments alone as these values and one array. Others go as documents.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, cast

from pgqueue.db.statements import statement
from pgqueue.job import Enqueued, JobState, NewJob, envelope

__all__ = [
    "CHUNK",
    "CHUNK_CHARACTERS",
    "QUIET_LONGEST",
    "QUIET_SHORTEST",
    "Calls",
    "Lookout",
    "Values",
    "answers",
    "new",
    "plain",
]

CHUNK = 5_000
"""Jobs that one statement takes at most."""

CHUNK_CHARACTERS = 16_000_000
"""Characters of arguments that one statement takes at most, but for a single larger job."""

QUIET_LONGEST = 0.04
"""For how many seconds at most nobody looks whether a worker waits."""

QUIET_SHORTEST = 0.01
"""For how many seconds nobody does after a first look in vain."""

assert QUIET_SHORTEST < QUIET_LONGEST
_STATES = {state.value: state for state in JobState}

Values = tuple[str, str, str, int, int]
Call = tuple[str, tuple[str | int, ...]]


class Calls:
    """Makes the statements for one schema."""

    def __init__(self, schema: str) -> None:
        self.one = statement("enqueue_one", schema)
        self.quiet = statement("insert_one", schema)
        self._alike = statement("enqueue_alike", schema)
        self._documents = statement("enqueue_jobs", schema)
        self._unique = statement("enqueue_unique", schema)
        self.find_full = statement("find_full", schema)
        self.refuse_full = statement("refuse_full", schema)

    def many(self, jobs: Sequence[NewJob]) -> Iterator[Call]:
        """Yield calls that enqueue the jobs in their order, not too many in one of them."""
        for chunk in _chunks(jobs):
            values = plain(chunk[0])
            if values is None or not _are_alike(chunk):
                unique = any("unique" in job.options for job in chunk)
                sql = self._unique if unique else self._documents
                yield sql, (f"[{','.join(_documents(chunk))}]",)
                continue
            task, _, *others = values
            yield self._alike, (task, f"[{','.join([job.args for job in chunk])}]", *others)


def new(job_id: int) -> Enqueued:
    """Return what became of a job that is new and ready."""
    return Enqueued(job_id, False, JobState.PENDING)


def plain(job: NewJob) -> Values | None:
    """Return a job as task, arguments, queue, priority, max_attempts, or None if it has more."""
    options = job.options
    if len(options) != 3:
        return None
    try:
        return (
            job.task, job.args, options["queue"], options["priority"], options["max_attempts"],
        )  # fmt: skip
    except KeyError:
        return None


class Lookout:
    """Whether to look if a worker waits for a notification: not again soon after a vain look.

    Soon is 10 ms, and up to 40 while look after look is vain. A worker that begins to wait looks
    for jobs every few milliseconds at first, so one that is not announced to it in that time is
    hardly later. Where many enqueue at once, looking was a sixteenth of what they cost.
    """

    __slots__ = ("_longest", "_quiet_seconds", "_quiet_until", "_shortest")

    def __init__(self, shortest: float = QUIET_SHORTEST, longest: float = QUIET_LONGEST) -> None:
        self._shortest, self._longest = shortest, longest
        self._quiet_until = 0.0
        self._quiet_seconds = shortest

    def needed(self, now: float) -> bool:
        """Return whether to look, at this moment of the monotonic clock."""
        return now >= self._quiet_until

    def learn(self, answer: int, asked_at: float) -> Enqueued:
        """Take in what ``enqueue_one`` answered, and return what became of the job."""
        if answer > 0:
            self._quiet_until = 0.0
        elif asked_at >= self._quiet_until:  # else another has looked at the same time
            since = asked_at - self._quiet_until
            longer = 2 * self._quiet_seconds if since < self._quiet_seconds else self._shortest
            self._quiet_seconds = min(longer, self._longest)
            self._quiet_until = asked_at + self._quiet_seconds
        return new(abs(answer))


def answers(rows: Sequence[Any]) -> list[Enqueued]:
    """Return what became of the jobs of one call: a row of ids, or a row each."""
    if len(rows) == 1 and len(rows[0]) == 1:
        ids = cast("list[int]", rows[0][0])
        return [new(job_id) for job_id in ids]
    if rows and len(rows[0]) == 4:  # of enqueue_unique
        return [
            Enqueued(job_id, duplicate, _STATES[state], replaced)
            for job_id, duplicate, state, replaced in rows
        ]
    return [Enqueued(job_id, duplicate, _STATES[state]) for job_id, duplicate, state in rows]


def _chunks(jobs: Sequence[NewJob]) -> Iterator[Sequence[NewJob]]:
    """Cut the jobs where there are enough for one statement, by number or by size."""
    first = size = 0
    for n, job in enumerate(jobs):
        size += len(job.args)
        if n > first and (n - first == CHUNK or size > CHUNK_CHARACTERS):
            yield jobs[first:n]
            first, size = n, len(job.args)
    if first < len(jobs):
        yield jobs[first:]


def _are_alike(jobs: Sequence[NewJob]) -> bool:
    task, options = jobs[0].task, jobs[0].options
    return all(
        job.task == task and (job.options is options or job.options == options) for job in jobs
    )


def _documents(jobs: Sequence[NewJob]) -> Iterator[str]:
    """Yield the documents of jobs. Most share their options with others: ``seen``."""
    seen: dict[tuple[str, int], tuple[str, str]] = {}
    for job in jobs:
        key = job.task, id(job.options)
        around = seen.get(key)
        if around is None:
            around = seen[key] = envelope(job)
        yield f"{around[0]}{job.args}{around[1]}"
