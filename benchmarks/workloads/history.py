"""A long history, filled by SQL: claims, a look at one job, lists, and days that are dropped."""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections.abc import Callable

import asyncpg
from psycopg import sql

from benchmarks.bench import Bench, Run, say
from benchmarks.rows import Row, percentile, row
from benchmarks.systems.base import Failed, System
from benchmarks.workloads.flat_ballast import Case
from pgqueue.client import Client
from pgqueue.db.statements import statement
from pgqueue.errors import DatabaseError

__all__ = ["run"]

NAME = "history"
_ROWS, _DAYS = 100_000_000, 30
_LOOKS, _LISTS = 500, 10
_KEPT = _DAYS // 2  # days that are not dropped

# Negative ids: those of jobs that are enqueued later do not meet them.
_DAY = """\
create table pgqueue.{name} (like pgqueue.history including all);
alter table pgqueue.history attach partition pgqueue.{name}
    for values from ({first}) to ({next});
insert into pgqueue.history
    (id, finished_at, run_at, enqueued_at, claimed_at, worker_id, claim_token, attempt,
     max_attempts, priority, crash_count, state, queue, task, args)
select -n, {first}::timestamptz + interval '12 h', {first}, {first}, {first}, 1, n, 1, 25, 5, 0,
       case when n % 100 = 0 then 'cancelled' else 'completed' end, 'default', 'noop', '{{"n": 1}}'
from generate_series({low}::bigint, {high}::bigint) as n"""
_BEGINNING = "select to_char((now() at time zone 'UTC')::date - %s, 'YYYY-MM-DD')"


def run(bench: Bench) -> list[Row]:
    rows: list[Row] = []
    for system in bench.doing(NAME):
        try:
            rows += _measure(bench, system)
        except Failed as exc:
            bench.failures[f"{NAME}/{system.name}"] = str(exc)
    return rows + bench.failed_rows(NAME)


def _measure(bench: Bench, system: System) -> list[Row]:
    count = bench.size(bench.rows or _ROWS, 3_000)
    jobs = bench.count(system, 1.7)
    rates: dict[str, list[float]] = {"empty": [], "full": []}
    room = jobs * bench.rounds
    with bench.run(system, room) as bare, bench.run(system, room) as filled:
        seconds = _fill(filled, count)
        bench.server.checkpoint()
        cases = {"empty": Case("empty", bare, 0, 0), "full": Case("full", filled, 0, 0)}
        for number in range(bench.rounds):
            for name, case in cases.items():
                say(f"history {number + 1}/{bench.rounds}: {name}")
                rates[name].append(case.rate(jobs))
        looks = _looks(filled, count)
        steps = asyncio.run(_retain(filled.database.dsn))

    def times(figure: str, found: list[float], target: str = "", note: str = "") -> list[Row]:
        median = row(NAME, system.name, figure, found, "ms", target or None, note)
        worst = row(NAME, system.name, f"{figure}, p99", percentile(found, 0.99), "ms")
        return [median, worst]

    note = f"{count:,} rows in {_DAYS} partitions, filled in {seconds:.0f} s"
    full = [a / b for a, b in zip(rates["full"], rates["empty"], strict=True)]
    return [
        row(NAME, system.name, "drain beside it / empty", full, "x", ">= 0.95", note),
        *times("get_job", looks["get_job"], "<= 8"),
        *times("get_job, absent", looks["absent"]),
        *times("list, newest 100", looks["newest"]),
        *times("list, cancelled", looks["cancelled"]),
        *times("list, a queue that nobody has", looks["nobody"], "<= 1000", "of 100,000"),
        *times("detach a day", steps["detach"]),
        *times("drop a detached day", steps["drop"]),
    ]  # fmt: skip


def _fill(run: Run, count: int) -> float:
    began, each = time.monotonic(), count // _DAYS
    with run.database.connect() as connection:
        for day in range(_DAYS):
            first, after = (
                str((connection.execute(_BEGINNING, [_DAYS + 2 - n]).fetchone() or ("",))[0])
                for n in (day, day + 1)
            )
            name = "history_" + first.replace("-", "")
            say(f"history: {name}")
            connection.execute(
                sql.SQL(_DAY).format(
                    name=sql.Identifier(name), first=f"{first} 00:00+00", next=f"{after} 00:00+00",
                    low=(_DAYS - 1 - day) * each + 1, high=(_DAYS - day) * each,
                )
            )  # fmt: skip
        connection.execute("vacuum analyze pgqueue.history")
        # The worker would drop what is older than a week.
        connection.execute("update pgqueue.duty set due_at = 'infinity' where name = 'retention'")
    return time.monotonic() - began


def _looks(run: Run, count: int) -> dict[str, list[float]]:
    draw = random.Random(18)

    def timed(times: int, look: Callable[[], object]) -> list[float]:
        found: list[float] = []
        for _ in range(times):
            began = time.perf_counter()
            with contextlib.suppress(DatabaseError):
                look()
            found.append((time.perf_counter() - began) * 1000)
        return found

    with Client(run.database.dsn) as client:
        client.get_job(-1)  # connects
        return {
            "get_job": timed(_LOOKS, lambda: client.get_job(-draw.randint(1, count))),
            "absent": timed(_LOOKS, lambda: client.get_job(-count - draw.randint(1, 1000))),
            "newest": timed(_LISTS, lambda: client.list_jobs(limit=100)),
            "cancelled": timed(_LISTS, lambda: client.list_jobs(state="cancelled", limit=100)),
            "nobody": timed(_LISTS, lambda: client.list_jobs(queue="nobody")),
        }


async def _retain(dsn: str) -> dict[str, list[float]]:
    """Detach the older half of the days, then drop them, one a statement."""
    steps: dict[str, list[float]] = {"detach": [], "drop": []}
    connection = await asyncpg.connect(dsn, server_settings={"timezone": "UTC"})
    keep = _KEPT * 86400.0
    try:
        while rows := await connection.fetch(statement("next_detach", "pgqueue"), keep):
            began = time.perf_counter()
            await connection.execute(rows[0]["change"])
            if "detach" in rows[0]["change"]:
                steps["detach"].append((time.perf_counter() - began) * 1000)
        dropped = 1
        while dropped:
            began = time.perf_counter()
            dropped = await connection.fetchval(statement("drop_history", "pgqueue"), keep, 1)
            steps["drop"] += [(time.perf_counter() - began) * 1000] * dropped
    finally:
        await connection.close()
    return steps
