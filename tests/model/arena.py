"""A database with one job in each state, which one call puts back as it was."""

from __future__ import annotations

import asyncio
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from tests.db.hands import Hands, connect
from tests.harness.servers import Server
from tests.model.look import FIRST_NEW, LOOK, job_of
from tests.model.model import KEY, Job, World

from pgqueue.db.migrate import migrate

__all__ = ["IDS", "TOKEN", "UNITS", "WORKER", "Arena", "opened"]

WORKER = 11  # W, whose lease ran out
TOKEN = 22  # T
_RUNS = Job("running", KEY, place="old", attempt=1, token="T", worker="W")

# Each job has a queue and a unique key of its own; the order of the keys is not that of the ids.
UNITS: dict[str, Job | None] = {
    "f-pending": Job("pending", KEY, place="old"),
    "j-due": Job("scheduled", KEY),
    "h-later": Job("scheduled", KEY, due=False, attempt=1, errors=1),
    "d-running": _RUNS,
    "g-crashing": replace(_RUNS, crashes=2, errors=2),
    "c-asked": replace(_RUNS, asked=True),
    "b-dead": replace(_RUNS, state="dead", place="", errors=1),
    "a-cancelled": Job("cancelled", KEY),
    "i-completed": replace(_RUNS, state="completed", place=""),
    "k-aged": Job("cancelled", KEY, place="aged"),
    "e-none": None,
}
IDS = {unit: n for n, unit in enumerate(UNITS, 1) if UNITS[unit] is not None}
# Of a day that retention drops.
_OLD = "2020-01-02"

_SETUP = """
create schema model;
create table model.job (like @.job);
create table model.history (like @.history);
create table model.dead (like @.dead);
create table model.worker (like @.worker);
create function model.reset() returns void language sql as $$
    delete from @.job;
    delete from @.history;
    delete from @.dead;
    delete from @.worker;
    insert into @.job select * from model.job;
    insert into @.history select * from model.history where finished_at > '2021-01-01';
    insert into @.dead select * from model.dead;
    insert into @.worker select * from model.worker;
    update @.duty set due_at = now() - interval '1 hour';
$$;
"""
_OLD_DAY = f"""
create table if not exists @.history_20200102 partition of @.history
    for values from ('{_OLD}') to ('2020-01-03');
insert into @.history select * from model.history where finished_at < '2021-01-01';
"""
_NEXT_DAYS = """
select format('drop table if exists @.history_%s',
              to_char(now() at time zone 'UTC' + interval '7 d', 'YYYYMMDD'))
"""


class Arena:
    """``players``: sessions for transactions; ``admin`` is outside of them all."""

    def __init__(
        self, dsn: str, runner: asyncio.Runner, admin: Hands, players: list[Hands]
    ) -> None:
        self.dsn = dsn
        self.runner = runner
        self.admin = admin
        self.players = players
        self.pids = [each.connection.get_server_pid() for each in players]

    async def set_up(self) -> None:
        await self.admin.connection.execute(self.admin.text(_SETUP))
        for each in self.players:
            await each.sql("set deadlock_timeout = '50ms'")
        for unit, job in UNITS.items():
            if job is not None:
                await self._store(unit, job)
        await self.admin.register("f-pending", worker=WORKER)
        await self.admin.sql("insert into model.worker select * from @.worker")
        await self.admin.sql("update model.worker set heartbeat_at = now() - interval '1 hour'")
        await self.admin.sql(f"alter sequence @.job_id_seq restart {FIRST_NEW}")
        await self.admin.sql(f"alter sequence @.position_seq restart {FIRST_NEW}")

    async def _store(self, unit: str, job: Job) -> None:
        """Write a job down in the table that it is put back from."""
        held = job.token is not None
        table = {"dead": "dead", "completed": "history", "cancelled": "history"}.get(job.state)
        columns: dict[str, Any] = {
            "id": IDS[unit],
            "queue": unit,
            "unique_key": unit,
            "task": "t",
            "priority": 5,
            "max_attempts": 25,
            "args": "{}",
            "attempt": job.attempt,
            "crash_count": job.crashes,
            "errors": "[" + ", ".join(["{}"] * job.errors) + "]" if job.errors else None,
            "claim_token": TOKEN if held else None,
            "worker_id": WORKER if held else None,
            "enqueued_at": "2020-01-01",
            "run_at": "2020-01-01" if job.due else "2100-01-01",
        }
        if table is None:
            columns["position"] = IDS[unit] if job.place else None
            columns |= {"quarantined": job.quarantined, "cancel_requested": job.asked}
        else:
            columns["finished_at"] = _OLD if job.place == "aged" else "now"
            columns |= {"reason": "no"} if table == "dead" else {"state": job.state}
        document = ", ".join(f"{self._literal(v)} as {k}" for k, v in columns.items())
        await self.admin.sql(
            f"insert into model.{table or 'job'} select r.* from (select {document}) as d,"
            f" jsonb_populate_record(null::model.{table or 'job'}, to_jsonb(d)) as r"
        )

    @staticmethod
    def _literal(value: object) -> str:
        if isinstance(value, str):
            cast = (
                "::jsonb"
                if value[:1] in ("{", "[")
                else "::timestamptz::text"
                if value == "now"
                else "::text"
            )
            return f"'{value}'{cast}"
        return "null" if value is None else str(value).lower()

    async def reset(self, *, old_day: bool = False, next_day: bool = False) -> dict[str, World]:
        """Put everything back; return it as the model knows it."""
        await self.admin.connection.execute("select model.reset()")
        if old_day:
            await self.admin.connection.execute(self.admin.text(_OLD_DAY))
        if next_day:
            await self.admin.connection.execute(await self.admin.value(_NEXT_DAYS))
        worlds: dict[str, World] = {}
        for unit, job in UNITS.items():
            if unit != "k-aged" or old_day:
                worlds[unit] = World({} if job is None else {"old": job}, {"W": True})
        return worlds

    async def look(self, ids: dict[int, str], holders: dict[int, str]) -> dict[str, World]:
        """Read what is there. ``ids``: who made a new job; ``holders``: names of ids and tokens."""
        worlds = {unit: World() for unit in UNITS}
        for row in await self.admin.sql(LOOK):
            old = row["id"] < FIRST_NEW
            name = "old" if old else ids.get(row["id"], f"unexpected {row['id']}")
            unit = row["unique_key"]
            if name in worlds[unit].jobs:
                name = f"{name} twice"
            worlds[unit].jobs[name] = replace(job_of(row, holders), key=KEY)
        workers = await self.admin.sql(
            "select id, clock_timestamp() > heartbeat_at + interval '15 s' as late from @.worker"
        )
        for world in worlds.values():
            world.workers = {holders.get(row["id"], row["id"]): row["late"] for row in workers}
        return worlds

    def close(self) -> None:
        for hands in (self.admin, *self.players):
            hands.connection.terminate()
        self.runner.run(asyncio.sleep(0))


@contextmanager
def opened(server: Server, players: int = 5) -> Generator[Arena]:
    """An arena in a database of its own."""
    name = server.create(server.template("migrated", lambda target: migrate(target, "pgqueue")))
    dsn = server.dsn_for(name)
    try:
        with asyncio.Runner() as runner:
            hands = [runner.run(connect(dsn)) for _ in range(players)]
            arena = Arena(dsn, runner, runner.run(connect(dsn, worker=False)), hands)
            try:
                runner.run(arena.set_up())
                yield arena
            finally:
                arena.close()
    finally:
        server.drop(name)
