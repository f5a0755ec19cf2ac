"""Where a figure is measured: a server, a database of its own, and what its jobs write down."""

from __future__ import annotations

import itertools
import random
import threading
import time
from collections.abc import Generator, Iterable
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg
from psycopg import sql

import pgqueue
from chaos.figures.host import Host
from chaos.figures.trace import Event, Trace
from pgqueue.db.migrate import migrate
from tests.harness.servers import Server, run_apart
from tests.harness.waiting import wait_until

__all__ = ["Bench", "Place"]

_HEARTBEAT = 2.0
_numbers = itertools.count(1)
_one_at_a_time = threading.Lock()


class Place:
    """A migrated database, and the directory of its trace, its gates and its logs."""

    def __init__(self, dsn: str, home: Path, rng: random.Random) -> None:
        self.dsn = dsn
        self.home = home
        self.trace = Trace(home)
        self._client = pgqueue.Client(dsn, pool_size=2)
        self._gates = 0
        self._rng = rng

    def drift(self) -> None:
        """Wait for no special moment: faults strike anywhere between two heartbeats."""
        time.sleep(self._rng.uniform(0.0, _HEARTBEAT))

    @property
    def database(self) -> str:
        return urlsplit(self.dsn).path.lstrip("/")

    def rows(self, query: str, *args: Any) -> list[tuple[Any, ...]]:
        """Ask on a connection of its own: the server may have gone and come back."""
        with psycopg.connect(self.dsn, autocommit=True, client_encoding="UTF8") as connection:
            return connection.execute(query.encode(), args).fetchall()

    def enqueue(self, task: str, **args: Any) -> int:
        return self._client.enqueue(task, args).id

    def enqueue_many(
        self, task: str, args: Iterable[dict[str, Any]], *, attempts: int = 25
    ) -> list[int]:
        jobs = [self._client.job(task, a, max_attempts=attempts) for a in args]
        return [enqueued.id for enqueued in self._client.enqueue_many(jobs)]

    def host(self, **options: Any) -> Host:
        """Start a host; it is killed at the end of a ``with``."""
        return Host(self, **options)

    def gate(self) -> str:
        """The name of a new gate, shut."""
        self._gates += 1
        return f"gate-{self._gates}"

    def open(self, gate: str) -> None:
        (self.home / gate).touch()

    def held(self, count: int) -> tuple[str, list[int]]:
        """Enqueue so many jobs that wait behind a new gate."""
        gate = self.gate()
        return gate, self.enqueue_many("hold", [{"gate": gate}] * count)

    def held_by(self, host: Host, count: int) -> tuple[str, list[int], list[int]]:
        """Enqueue such jobs one by one until that host has so many; return its own and all."""
        theirs = set(host.workers())
        gate = self.gate()
        jobs: list[int] = []
        while True:
            jobs.append(self.enqueue("hold", gate=gate))
            begun = self.until_begun(jobs)
            hit = [job for job in jobs if begun[job].pid in theirs]
            if len(hit) == count:
                return gate, hit, jobs
            if len(jobs) == 50 * count:
                raise RuntimeError(f"that host got {len(hit)} of {len(jobs)} jobs")

    def until_begun(
        self, jobs: Iterable[int], *, since: float = 0.0, timeout_s: float = 30.0
    ) -> dict[int, Event]:
        """Wait until all of these have started since; return the first such start of each."""
        wanted = list(jobs)
        wait_until(
            lambda: all(self.trace.begins(wanted, since=since).values()),
            timeout_s=timeout_s,
            what=f"{len(wanted)} jobs have started",
        )
        return {job: events[0] for job, events in self.trace.begins(wanted, since=since).items()}

    def until_flushed(self) -> None:
        """Wait until all that was done so far would survive a crash: a claim's commit is not waited
        for, and a job that starts in the second before a crash may start again."""
        now = self.rows("select pg_current_wal_insert_lsn()")[0][0]
        wait_until(
            lambda: self.rows("select pg_current_wal_flush_lsn() >= %s::pg_lsn", now)[0][0],
            what="what was done is on disk",
        )

    def until_finished(self, jobs: Iterable[int], *, timeout_s: float = 30.0) -> dict[int, str]:
        """Wait until these are over; return what each came to."""
        wanted = list(jobs)
        live = "select count(*) from pgqueue.job where id = any (%s)"
        wait_until(
            lambda: self.rows(live, wanted)[0][0] == 0,
            timeout_s=timeout_s,
            what=f"{len(wanted)} jobs are finished",
        )
        return dict(self.rows("select id, state from pgqueue.jobs where id = any (%s)", wanted))

    def needless(self, jobs: Iterable[int]) -> int:
        """How many of these started more than once."""
        return sum(len(events) > 1 for events in self.trace.begins(jobs).values())

    def close(self) -> None:
        self._client.close()


@dataclass
class Bench:
    """``quick``: shorter waits and fewer rounds; what is demanded is the same."""

    server: Server
    home: Path
    quick: bool = False
    seed: int = 0

    @contextmanager
    def place(
        self, name: str, server: Server | None = None, *, encoding: str = "UTF8"
    ) -> Generator[Place]:
        """Lend a place on that server; on the shared one by default."""
        chosen = server or self.server
        with _one_at_a_time:
            database = f"figures_{name}_{next(_numbers)}"
            with chosen.connect() as connection:
                connection.execute(
                    sql.SQL(
                        "create database {} template template0 encoding {} locale_provider libc"
                        " lc_collate 'C' lc_ctype 'C'"
                    ).format(sql.Identifier(database), sql.Literal(encoding))
                )
            run_apart(migrate(chosen.dsn_for(database), "pgqueue"))
            home = self.home / f"{name}-{len(list(self.home.glob(f'{name}-*'))) + 1}"
            home.mkdir()
        place = Place(chosen.dsn_for(database), home, random.Random(f"{self.seed}/{name}"))
        try:
            yield place
        finally:
            place.close()
