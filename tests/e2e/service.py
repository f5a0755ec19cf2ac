"""``pgqueue worker`` in processes of its own, and what a test asks of it."""

from __future__ import annotations

import shutil
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import psycopg

import pgqueue
from tests.harness.processes import Program
from tests.harness.waiting import PATIENCE, wait_until

__all__ = ["Queue", "Service"]

SAMPLE = Path(__file__).with_name("sample.py")


class Queue:
    """The database of a test, and the trace that its jobs leave."""

    def __init__(self, dsn: str, home: Path) -> None:
        self.dsn = dsn
        self.home = home
        self.client = pgqueue.Client(dsn, pool_size=1)
        shutil.copy(SAMPLE, home / "jobs.py")

    def __enter__(self) -> Self:
        self.connection = psycopg.connect(self.dsn, autocommit=True)
        return self

    def __exit__(self, *_: object) -> None:
        self.connection.close()
        self.client.close()

    def rows(self, query: str, *args: Any) -> list[tuple[Any, ...]]:
        return self.connection.execute(query.encode(), args).fetchall()

    def enqueue(self, task: str, **args: Any) -> int:
        return self.client.enqueue(task, args).id

    def enqueue_many(self, task: str, count: int) -> list[int]:
        return [e.id for e in self.client.enqueue_many([self.client.job(task)] * count)]

    def job(self, job_id: int) -> dict[str, Any]:
        """The row of a job, wherever it is."""
        query = "select state, attempt, crash_count, reason, errors from pgqueue.jobs where id = %s"
        names = ("state", "attempt", "crash_count", "reason", "errors")
        return dict(zip(names, self.rows(query, job_id)[0], strict=True))

    def states(self) -> Counter[str]:
        rows = self.rows("select state, count(*) from pgqueue.jobs group by state")
        return Counter(dict(rows))

    def positions(self) -> dict[int, tuple[int, int]]:
        """Position and attempt of each live job."""
        rows = self.rows("select id, position, attempt from pgqueue.job")
        return {job: (position, attempt) for job, position, attempt in rows}

    def workers(self) -> list[int]:
        """The pids of the registered workers."""
        return [pid for (pid,) in self.rows("select pid from pgqueue.worker order by started_at")]

    def trace(self, what: str) -> list[tuple[int, int]]:
        """Job and pid of each such line."""
        path = self.home / "trace"
        lines = path.read_text().splitlines() if path.exists() else []
        words = [line.split() for line in lines]
        return [(int(job), int(pid)) for kind, job, pid in words if kind == what]

    def open(self, gate: str = "gate") -> None:
        """Let the gated jobs end."""
        (self.home / gate).touch()

    def until_state(self, state: str, *jobs: int, timeout_s: float = PATIENCE) -> None:
        wait_until(
            lambda: all(self.job(job)["state"] == state for job in jobs),
            timeout_s=timeout_s,
            what=f"jobs {jobs} are {state}",
        )

    def until_begun(self, *jobs: int) -> dict[int, int]:
        """Wait until these run; return the pid of each."""
        wait_until(
            lambda: set(jobs) <= {job for job, _ in self.trace("begin")}, what=f"{jobs} have begun"
        )
        return dict(self.trace("begin"))


class Service(Program):
    """The command line's worker."""

    def __init__(
        self,
        queue: Queue,
        *options: str,
        target: str = "jobs:app",
        prefix: Sequence[str] = (),
        **env: str,
    ) -> None:
        self.queue = queue
        self.processes = int(options[options.index("--processes") + 1]) if options else 1
        code = "from pgqueue.cli import main; main()"
        super().__init__(
            [*prefix, sys.executable, "-c", code, "worker", target, *options],
            queue.home / f"log-{len(list(queue.home.glob('log-*')))}",
            cwd=queue.home,
            env={"PGQUEUE_DSN": queue.dsn, **env},
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.clear_away()
        if kind is not None:
            print(self.log())

    def until_started(self, count: int | None = None) -> list[int]:
        """Wait until so many workers are registered; return their pids."""
        wanted = self.processes if count is None else count
        wait_until(
            lambda: len(self.queue.workers()) == wanted or not self.runs,
            what=f"{wanted} workers are registered",
        )
        assert self.runs, self.log()
        self.children()  # also those that end before somebody asks again
        return self.queue.workers()

    def wait(self, timeout_s: float | None = PATIENCE) -> int:
        """Wait for its end; return its exit code."""
        return super().wait(timeout_s)

    def until_logged(self, text: str, *, timeout_s: float = PATIENCE) -> None:
        wait_until(lambda: text in self.log(), timeout_s=timeout_s, what=f"{text!r} is logged")
