"""The jobs of a case: some of each kind, enqueued by one process that notes what it was told."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

from chaos.history import History
from pgqueue import Client
from pgqueue.calls import CHUNK
from pgqueue.errors import OutcomeUnknown, PgQueueError, Unreachable
from pgqueue.job import Options
from pgqueue.schedule.settings import ScheduleOptions

__all__ = ["Load"]

_NAP: tuple[str, str, dict[str, Any], dict[str, Any]] = (
    "nap", "nap", {"seconds": 0.04}, {"queue": "side"},
)  # fmt: skip
# Nobody declares this flow, so that its jobs run one at a time.
_FLOW: dict[str, Any] = {"flow": "shared", "flow_key": "a"}
# Task, kind, arguments, options, how many. Those that wait keep the queue full for a while.
_MIX: Sequence[tuple[str, str, dict[str, Any], dict[str, Any], int]] = (
    ("noop", "noop", {}, {}, 12),
    ("effect", "effect", {"pause": 0.02}, {}, 8),
    ("thread_effect", "effect", {}, {}, 6),
    ("flaky", "flaky", {"fails": 1}, {}, 4),
    ("flaky", "flaky", {"fails": 9}, {"max_attempts": 1}, 2),
    ("noop", "noop", {}, _FLOW, 6),
    ("effect", "effect", {"pause": 0.02}, {**_FLOW, "flow_key": "b"}, 4),
    ("flaky", "flaky", {"fails": 1}, _FLOW, 2),
    ("flaky", "flaky", {"fails": 9}, {**_FLOW, "max_attempts": 1}, 1),
    ("narrow", "narrow", {"seconds": 0.05}, {"queue": "narrow"}, 8),
    ("paced", "paced", {}, {"queue": "paced"}, 8),
    ("poison", "poison", {"which": 1}, {}, 2),
    ("snooze", "snooze", {}, {"queue": "side"}, 2),
    ("thread", "thread", {"seconds": 0.05}, {"queue": "side"}, 3),
    ("later", "later", {}, {"queue": "side", "delay": 0.5}, 3),
    (*_NAP, 60),
    ("nap", "nap", {"seconds": 1.5}, {"queue": "main"}, 2),
)
# Each has its own policy for slots that are late.
_SCHEDULES: Mapping[str, ScheduleOptions] = {
    "all": {"cron": "* * * * * *", "misfire": "all"},
    "last": {"every": 2},
    "skip": {"cron": "*/3 * * * * *", "misfire": "skip", "grace": 2.0},
}


class Load:
    """Enqueues, and writes down what became of it."""

    def __init__(self, home: Path, dsn: str) -> None:
        self._history = History(home, "producer-sync")
        self._client = Client(dsn, pool_size=1)
        self._keys = itertools.count(1)
        self._ops = itertools.count(1)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()
        self._history.close()

    def mix(self, naps: int = 0) -> None:
        """Enqueue some of each kind, and so many more that wait."""
        self._enqueue([entry[:4] for entry in _MIX for _ in range(entry[4])])
        if naps:
            self._enqueue([_NAP] * naps)

    def one_by_one(self) -> None:
        """Enqueue twenty jobs, a call each."""
        for _ in range(20):
            self._enqueue([("noop", "noop", {}, {})])

    def bulk(self) -> None:
        """Enqueue more than one statement takes."""
        self._enqueue([("noop", "noop", {}, {})] * (CHUNK + 10))

    def set_schedules(self) -> None:
        """Make schedules whose slots come each few seconds."""
        for n, (name, settings) in enumerate(_SCHEDULES.items(), 1):
            self._client.schedules.set(name, task="tick", args={"k": -n}, **settings)

    def pause_schedules(self) -> None:
        """No more slots come."""
        for name in _SCHEDULES:
            self._client.schedules.pause(name)

    def _enqueue(self, wanted: Sequence[tuple[str, str, dict[str, Any], dict[str, Any]]]) -> None:
        op = next(self._ops)
        keys = [next(self._keys) for _ in wanted]
        delays = {str(n): w[3]["delay"] for n, w in enumerate(wanted) if "delay" in w[3]}
        kinds = [w[1] for w in wanted]
        self._history.write(f="enq", y="invoke", o=op, ks=keys, ns=kinds, us={}, ds=delays)
        jobs = [
            self._client.job(task, {"k": key, **args}, **_options(options))
            for key, (task, _, args, options) in zip(keys, wanted, strict=True)
        ]
        try:
            if len(jobs) == 1:
                done = [self._client.enqueue_job(jobs[0], None)]
            else:
                done = self._client.enqueue_many(jobs)
        except PgQueueError as exc:
            certain = isinstance(exc, Unreachable) or not isinstance(exc, OutcomeUnknown)
            self._history.write(f="enq", y="fail" if certain else "info", o=op, why=str(exc)[:120])
            return
        self._history.write(f="enq", y="ok", o=op, js=[one.id for one in done], dups=[])


def _options(given: dict[str, Any]) -> Options:
    return {"queue": "main", **given}  # type: ignore[typeddict-item]
