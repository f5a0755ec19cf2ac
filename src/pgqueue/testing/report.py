"""What a failed assertion says: what was expected, and in what the nearest jobs differ."""

from __future__ import annotations

from collections.abc import Sequence

from pgqueue.admin.info import JobInfo
from pgqueue.errors import shown
from pgqueue.testing.expect import Difference, Expected

__all__ = ["not_as_expected"]

_SHOWN = 5


def not_as_expected(
    expected: Expected, jobs: Sequence[JobInfo], *, none: bool = False
) -> str | None:
    """Return what is wrong with these jobs; None if they are as expected.

    ``none``: no such job is to be there.
    """
    compared = [(job, expected.differences(job)) for job in jobs]
    fitting = [job for job, differences in compared if not differences]
    count = 0 if none else expected.count
    if (count is None and fitting) or count == len(fitting):
        return None
    if fitting:
        head = f"{expected}: expected {count or 'none'}, and {len(fitting)} are enqueued"
        return "\n".join([head, *(f"  {_line(job)}" for job in fitting[:_SHOWN])])
    head = f"{expected}: none is enqueued"
    if not jobs:
        return f"{head}; no job at all is"
    nearest = sorted(compared, key=lambda one: _distance(one[1]))[:_SHOWN]
    said = f"{head}; the nearest of {len(jobs)} jobs:"
    return "\n".join([said, *(_with_differences(*one) for one in nearest)])


def _distance(differences: Sequence[Difference]) -> tuple[bool, int]:
    return any(one.what == "task" for one in differences), len(differences)


def _with_differences(job: JobInfo, differences: Sequence[Difference]) -> str:
    lines = [f"  {_line(job)}"]
    others = [one for one in differences if one.what == "task"]
    for one in others or differences:
        lines += [f"    - {one.what}: {one.expected}", f"    + {one.what}: {one.found}"]
    return "\n".join(lines)


def _line(job: JobInfo) -> str:
    return f'job {job.id} ({job.state}): {job.task} {shown(job.args)}, queue "{job.queue}"'
