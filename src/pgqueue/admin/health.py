"""Whether the queue is well, as a monitor asks: a verdict on one status. No I/O."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from pgqueue.admin.info import QueueInfo, Status, StillFlow, WorkerInfo

__all__ = [
    "Health",
    "HostHealth",
    "judge",
    "judge_host",
    "say_schedules",
    "say_still",
    "say_unserved",
]

_NAMED = 10
_LONG = 60.0
"""Seconds. A queue with limits whose jobs have waited for longer is named."""


class Health(msgspec.Struct, frozen=True):
    """``problems``: a sentence each; none if all is well. ``queues``: those that were judged.

    ``workers``: live ones, of all queues. ``oldest_ready_seconds``: of the queues judged.
    """

    ok: bool
    problems: tuple[str, ...]
    schema: str
    schema_version: int
    workers: int
    oldest_ready_seconds: float | None
    queues: tuple[QueueInfo, ...]


class HostHealth(msgspec.Struct, frozen=True):
    """How the workers of one host are. ``problems``: a sentence each; none if all is well."""

    ok: bool
    problems: tuple[str, ...]
    host: str
    workers: int


def judge(
    status: Status,
    *,
    max_age: float,
    max_dead: int | None = None,
    wanted: Iterable[str] = (),
    only: bool = False,
) -> Health:
    """Return the verdict.

    Unwell is: no live worker at all; a queue that holds jobs, or is wanted, and that no live worker
    serves; ready jobs whose task no live worker knows; a ready job that has been due for more than
    ``max_age`` seconds, or a scheduled one that nobody has made ready for so long; a schedule whose
    slot has been due for more than a minute, or that the code of no worker declares any more; more
    than ``max_dead`` dead letters; a copy of another database; damage. A paused queue or schedule
    waits for a person, and is not judged. ``wanted``: queues that need a worker also while they are
    empty; with ``only``, no others are judged, and no schedules. ``max_dead`` counts those of all
    queues.
    """
    names = list(dict.fromkeys(wanted))
    judged = [q for q in status.queues if q.paused_at is None and (q.name in names or not only)]
    live = _count_live(status.workers)
    problems = [] if live else ["no live worker"]
    if status.copy_of is not None:
        problems.append(f"{status.copy_of}: no worker starts here")
    problems += [f"damage: {what}" for what in status.damage]
    if live:
        served = {q.name for q in status.queues if q.workers or q.paused_at is not None}
        problems += _say_unserved(
            [*_without_worker(judged), *(n for n in names if n not in served)]
        )
        problems += _say_unknown(judged)
        problems += [] if only else _say_overdue(status.next_due_seconds, max_age)
        problems += [] if only else say_schedules(status)
    problems += _say_dead(status, max_dead)
    problems += [_late(q, max_age) for q in judged if (q.oldest_ready_seconds or 0) > max_age]
    ages = [q.oldest_ready_seconds for q in judged if q.oldest_ready_seconds is not None]
    return Health(
        ok=not problems,
        problems=tuple(problems),
        schema=status.schema,
        schema_version=status.schema_version,
        workers=live,
        oldest_ready_seconds=max(ages, default=None),
        queues=tuple(judged),
    )


def judge_host(workers: Iterable[WorkerInfo], host: str) -> HostHealth:
    """Return whether a live worker runs on this host, whatever the queues hold."""
    here = [worker for worker in workers if worker.host == host]
    live = _count_live(here)
    problems: tuple[str, ...] = ()
    if not live:
        silent = " (there are some that stop, or send no heartbeats)" if here else ""
        problems = (f'no live worker on host "{host}"{silent}',)
    return HostHealth(not problems, problems, host, live)


def _count_live(workers: Iterable[WorkerInfo]) -> int:
    return sum(not w.stopping and w.heartbeat_age <= w.lease_seconds for w in workers)


def say_unserved(queues: Sequence[QueueInfo]) -> list[str]:
    """Return where jobs wait in vain, as nobody serves their queue, or knows their task; or wait
    for long, for a pause or for limits."""
    return [
        *_say_unserved(_without_worker(queues)),
        *_say_unknown(queues),
        *_say_paused(queues),
        *_say_at_limit(queues),
    ]


def _without_worker(queues: Iterable[QueueInfo]) -> list[str]:
    return [
        q.name
        for q in queues
        if not q.workers and (q.ready or q.running or q.scheduled or q.blocked)
    ]


def _say_unserved(names: Iterable[str]) -> list[str]:
    once = list(dict.fromkeys(names))
    if not once:
        return []
    return [f"no live worker serves {'queue' if len(once) == 1 else 'queues'} {_named(once)}"]


def _named(names: Sequence[str]) -> str:
    named = ", ".join(f'"{name}"' for name in names[:_NAMED])
    return f"{named} and {len(names) - _NAMED} more" if len(names) > _NAMED else named


def say_schedules(status: Status) -> list[str]:
    """Return which schedules do not fire: those that are late, and those of no worker's code."""
    said: list[str] = []
    if late := status.late_schedules:
        what = "schedule" if len(late) == 1 else "schedules"
        said.append(f"{what} {_named([*late])}: due for {max(late.values()):.0f} s, and not fired")
    if orphaned := status.orphaned_schedules:
        what = "schedule" if len(orphaned) == 1 else "schedules"
        said.append(
            f"{what} {_named(orphaned)}: in the code of no worker; pgqueue schedules remove ends it"
        )
    return said


def _say_unknown(queues: Iterable[QueueInfo]) -> list[str]:
    return [
        f'queue "{queue.name}": no live worker knows task "{task}" ({jobs} ready)'
        for queue in queues
        for task, jobs in queue.unknown.items()
    ]


def _say_overdue(next_due: float | None, max_age: float) -> list[str]:
    if next_due is None or -next_due <= max_age:
        return []
    return [
        f"a scheduled job is overdue by {-next_due:.0f} s, more than {max_age:g} s, "
        "and no worker makes it ready"
    ]


def _say_dead(status: Status, most: int | None) -> list[str]:
    dead = status.jobs["dead"]
    if most is None or dead <= most:
        return []
    return [f"{dead} dead {'letter' if dead == 1 else 'letters'}, more than {most}"]


def _say_paused(queues: Iterable[QueueInfo]) -> list[str]:
    return [
        f'queue "{queue.name}" is paused ({queue.ready} ready); pgqueue queues resume lets it go on'
        for queue in queues
        if queue.paused_at is not None and queue.ready
    ]


def say_still(flows: Iterable[StillFlow]) -> list[str]:
    """Return which flows, or keys of flows, stand still while jobs wait in their lines."""
    said: list[str] = []
    for flow in flows:
        if flow.paused_at is not None:
            said.append(
                f'flow "{flow.name}" is paused ({flow.waiting} in line); pgqueue flows resume lets '
                "it go on"
            )
        elif flow.held_until is not None:
            until = flow.held_until.isoformat(" ", "seconds")
            said.append(f'flow "{flow.name}" is held until {until} ({flow.waiting} in line)')
        if flow.paused_keys:
            keys = "1 key stands" if flow.paused_keys == 1 else f"{flow.paused_keys} keys stand"
            said.append(f'flow "{flow.name}": {keys} still; see pgqueue keys {flow.name} --stopped')
    return said


def _late(queue: QueueInfo, max_age: float) -> str:
    return (
        f'queue "{queue.name}": its oldest ready job has waited for '
        f"{queue.oldest_ready_seconds:.0f} s, more than {max_age:g} s{_say_limits(queue)}"
    )


def _say_limits(queue: QueueInfo) -> str:
    """What may be why its jobs wait: limits that let no more of them begin."""
    said: list[str] = []
    if queue.concurrency is not None and queue.held >= queue.concurrency:
        said.append(f"it is at its limit of {queue.concurrency} at once")
    if queue.rate is not None:
        said.append(f"its rate is {queue.rate:g}/s")
    return "".join(f"; {what}" for what in said)


def _say_at_limit(queues: Iterable[QueueInfo]) -> list[str]:
    said: list[str] = []
    for queue in queues:
        age, why = queue.oldest_ready_seconds or 0.0, _say_limits(queue)
        if why and age > _LONG and queue.paused_at is None:
            said.append(
                f'queue "{queue.name}": its oldest ready job has waited for {age:.0f} s{why}'
            )
    return said
