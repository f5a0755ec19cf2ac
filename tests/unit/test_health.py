"""The verdict of ``pgqueue health``, row by row."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from pgqueue.admin.health import judge, judge_host, say_still, say_unserved
from pgqueue.admin.info import Count, QueueInfo, Status, StillFlow, WorkerInfo, WorkerState

NOW = datetime.now(UTC)


def queue(name: str = "default", ready: int = 0, **changes: Any) -> QueueInfo:
    age = 1.0 if ready else None
    made = QueueInfo(name, None, False, Count(ready), Count(0), Count(0), age, workers=1)
    return msgspec.structs.replace(made, **changes)


def worker(age: float = 1.0, *, stopping: bool = False) -> WorkerInfo:
    return WorkerInfo(
        1, WorkerState.ALIVE, "host", 1, NOW, age, 15.0, 0, 10, ("default",), stopping, "0"
    )


def status(
    *queues: QueueInfo,
    workers: tuple[WorkerInfo, ...] | None = None,
    dead: int = 0,
    due: float | None = None,
    **more: Any,
) -> Status:
    live = (worker(),) if workers is None else workers
    jobs = {"dead": Count.bounded(dead)}
    return Status("pgqueue", 1, jobs, queues, live, None, due, {}, **more)


WELL: list[tuple[Status, dict[str, Any]]] = [
    (status(), {}),
    (status(queue(ready=5)), {}),
    (status(queue(workers=0)), {}),  # empty, and nobody asks for it
    (status(queue(ready=5, workers=0, paused_at=NOW, oldest_ready_seconds=9999.0)), {}),
    (status(queue("a", ready=5), queue("b", ready=5, workers=0)), {"wanted": ["a"], "only": True}),
    (status(queue(ready=1, oldest_ready_seconds=60.0)), {"max_age": 60}),
    (status(due=3600.0), {}),
    (status(due=-60.0), {"max_age": 60}),
    (status(queue(), due=-61.0), {"max_age": 60, "wanted": ["default"], "only": True}),
    (status(queue(), late_schedules={"s": 99.0}), {"wanted": ["default"], "only": True}),
    (status(dead=7), {}),
    (status(dead=7), {"max_dead": 7}),
]
UNWELL: list[tuple[Status, dict[str, Any], str]] = [
    (status(workers=()), {}, "no live worker"),
    (status(workers=(), late_schedules={"s": 99.0}), {}, "no live worker"),
    (status(queue(ready=1, workers=0), workers=(worker(16.0),)), {}, "no live worker"),
    (status(workers=(worker(stopping=True),)), {}, "no live worker"),
    (status(queue(ready=5, workers=0)), {}, 'no live worker serves queue "default"'),
    (status(queue(scheduled=Count(1), workers=0)), {}, 'no live worker serves queue "default"'),
    (status(), {"wanted": ["mail", "mail"]}, 'no live worker serves queue "mail"'),
    (status(queue("mail", workers=0)), {"wanted": ["mail"]}, 'no live worker serves queue "mail"'),
    (
        status(queue(ready=5, unknown={"old": Count(3)})),
        {},
        'queue "default": no live worker knows task "old" (3 ready)',
    ),
    (
        status(queue(ready=1, oldest_ready_seconds=61.0)),
        {"max_age": 60},
        'queue "default": its oldest ready job has waited for 61 s, more than 60 s',
    ),
    (
        status(due=-61.0),
        {"max_age": 60},
        "a scheduled job is overdue by 61 s, more than 60 s, and no worker makes it ready",
    ),
    (
        status(late_schedules={"nightly": 75.4}),
        {},
        'schedule "nightly": due for 75 s, and not fired',
    ),
    (
        status(late_schedules={name: 61.0 + n for n, name in enumerate("abcdefghijkl")}),
        {},
        'schedules "a", "b", "c", "d", "e", "f", "g", "h", "i", "j" and 2 more: due for 72 s, and '
        "not fired",
    ),
    (
        status(orphaned_schedules=("a", "b")),
        {},
        'schedules "a", "b": in the code of no worker; pgqueue schedules remove ends it',
    ),
    (
        status(queue("mail", workers=0, blocked=Count(2))),
        {},
        'no live worker serves queue "mail"',
    ),
    (status(dead=1), {"max_dead": 0}, "1 dead letter, more than 0"),
    (status(dead=20_000), {"max_dead": 7}, "10000+ dead letters, more than 7"),
    (status(copy_of="this is a copy"), {}, "this is a copy: no worker starts here"),
    (status(damage=("no duties",)), {}, "damage: no duties"),
]


@pytest.mark.parametrize(("found", "options"), WELL)
def test_well(found: Status, options: dict[str, Any]) -> None:
    verdict = judge(found, **{"max_age": 900, **options})
    assert verdict.ok
    assert verdict.problems == ()


@pytest.mark.parametrize(("found", "options", "said"), UNWELL)
def test_unwell(found: Status, options: dict[str, Any], said: str) -> None:
    verdict = judge(found, **{"max_age": 900, **options})
    assert not verdict.ok
    assert verdict.problems == (said,)


def test_a_host_is_well_while_a_worker_lives_on_it() -> None:
    there = msgspec.structs.replace(worker(), host="there")
    for workers, live in (((worker(), worker(16.0), there), 1), ((worker(), worker()), 2)):
        found = judge_host(workers, "host")
        assert (found.ok, found.problems, found.workers) == (True, (), live)
    for workers in ((there, worker(16.0)), (worker(stopping=True),)):
        found = judge_host(workers, "host")
        said = 'no live worker on host "host" (there are some that stop, or send no heartbeats)'
        assert (found.ok, found.problems, found.workers) == (False, (said,), 0)
    assert judge_host((there,), "host").problems == ('no live worker on host "host"',)


@pytest.mark.parametrize(
    ("flow", "said"),
    [
        (
            StillFlow("crm", Count(7), NOW, None, 0),
            ['flow "crm" is paused (7 in line); pgqueue flows resume lets it go on'],
        ),
        (
            StillFlow("crm", Count(7), None, datetime(2026, 11, 30, 12, tzinfo=UTC), 1),
            [
                'flow "crm" is held until 2026-11-30 12:00:00+00:00 (7 in line)',
                'flow "crm": 1 key stands still; see pgqueue keys crm --stopped',
            ],
        ),
        (
            StillFlow("crm", Count(7), None, None, 3),
            ['flow "crm": 3 keys stand still; see pgqueue keys crm --stopped'],
        ),
    ],
)
def test_flows_that_stand_still_are_said(flow: StillFlow, said: list[str]) -> None:
    assert say_still([flow]) == said


LIMITED: list[tuple[QueueInfo, str]] = [
    (queue(concurrency=2, held=2), "; it is at its limit of 2 at once"),
    (queue(concurrency=2, held=1), ""),
    (queue(rate=0.5), "; its rate is 0.5/s"),
    (
        queue(concurrency=1, held=1, rate=20.0),
        "; it is at its limit of 1 at once; its rate is 20/s",
    ),
]


@pytest.mark.parametrize(("limited", "why"), LIMITED)
def test_the_limits_of_a_queue_are_said_where_its_jobs_wait_for_long(
    limited: QueueInfo, why: str
) -> None:
    late = msgspec.structs.replace(limited, ready=Count(5), oldest_ready_seconds=90.0)
    waited = 'queue "default": its oldest ready job has waited for 90 s'
    (said,) = judge(status(late), max_age=60).problems
    assert said == f"{waited}, more than 60 s{why}"
    assert judge(status(late), max_age=900).ok
    assert say_unserved([late]) == ([f"{waited}{why}"] if why else [])
    soon = msgspec.structs.replace(late, oldest_ready_seconds=30.0)
    paused = msgspec.structs.replace(late, paused_at=NOW)
    assert say_unserved([soon]) == []
    assert not any("limit" in one for one in say_unserved([paused]))


def test_of_many_queues_without_a_worker_a_few_are_named() -> None:
    (said,) = say_unserved([queue("mail", ready=2, paused_at=NOW), queue(paused_at=NOW)])
    assert said == 'queue "mail" is paused (2 ready); pgqueue queues resume lets it go on'
    (said,) = say_unserved([queue(f"q{n}", ready=1, workers=0) for n in range(12)])
    assert said.startswith('no live worker serves queues "q0", "q1", ')
    assert said.endswith('"q9" and 2 more')
