"""A database with an app and workers on it, for the state machine."""

from __future__ import annotations

from collections import Counter

from tests.model.fleet import TASK, Fleet
from tests.model.look import LOOK, job_of
from tests.model.model import Job

from pgqueue import App

__all__ = ["CAP", "MAX_ATTEMPTS", "QUEUES", "Place"]

QUEUES = ["a", "b"]
MAX_ATTEMPTS = 2
CAP = 2  # crashes until a job is dead


class Place:
    """A database, with an app and workers on it. ``seen``: the moves that jobs have made."""

    def __init__(self, dsn: str) -> None:
        self.dsn = dsn
        self.app = App(dsn)
        self.fleet = Fleet(dsn, QUEUES, cap=CAP)
        self.seen: Counter[tuple[str, str]] = Counter()

        @self.app.task(name=TASK, max_attempts=MAX_ATTEMPTS)
        def work(n: int) -> None: ...

        self.work = work

    def clear(self) -> None:
        for table in ("job", "history", "dead", "worker", "queue"):
            self.fleet.sql(f"delete from @.{table}")

    def look(self) -> dict[int, Job]:
        """Read every job; fail if one is there twice."""
        rows = self.fleet.sql(LOOK)
        jobs = {row["id"]: job_of(row) for row in rows}
        assert len(jobs) == len(rows)
        return jobs

    def close(self) -> None:
        self.fleet.close()
        self.app.close()
