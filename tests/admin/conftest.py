"""A client, a second session, and a worker's statements done by hand."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest

from pgqueue.client import Client
from pgqueue.db.statements import statement

SCHEMA = "pgqueue"


class Session:
    """A second session, which can do what a worker does."""

    def __init__(self, connection: asyncpg.Connection[Any]) -> None:
        self.connection = connection
        self.token = 0

    async def sql(self, text: str, *args: Any) -> list[Any]:
        return await self.connection.fetch(text, *args)

    async def value(self, text: str, *args: Any) -> Any:
        return await self.connection.fetchval(text, *args)

    async def run(self, name: str, *args: Any) -> list[Any]:
        return await self.connection.fetch(statement(name, SCHEMA), *args)

    async def serve(self, *queues: str) -> int:
        """Register a worker; return its id."""
        worker = random.getrandbits(60)
        await self.run(
            "register_worker",
            worker,
            15.0,
            1,
            "host",
            "0",
            list(queues),
            10,
            None,
            None,
            None,
            0,
            [],
            [],
        )
        return worker

    async def claim(
        self, *queues: str, tasks: tuple[str, ...] = ("t",), limit: int = 100
    ) -> list[int]:
        """Claim what is ready; return the ids."""
        self.token = random.getrandbits(60)
        for queue in queues or ("default",):
            await self.sql(
                "insert into pgqueue.queue (name) values ($1) on conflict do nothing", queue
            )
        names = list(queues or ("default",))
        rows = await self.run(
            "claim_jobs", names, [limit] * len(names), [0] * 10 * len(names), list(tasks), limit,
            7, self.token, False, 2**31 - 1,
        )  # fmt: skip
        return sorted(row["id"] for row in rows)

    async def finish(self, *ids: int, state: str = "completed") -> Any:
        """Finish claimed jobs; None if every receipt was good."""
        rows = await self.run("finish_jobs", sorted(ids), [self.token] * len(ids), state)
        return rows[0][0]

    async def bury(self, *ids: int, reason: str = "it failed") -> list[int]:
        """Make claimed jobs dead letters."""
        error = '{"attempt": 1, "type": "ValueError", "message": "no", "worker": "w"}'
        rows = await self.run(
            "bury_jobs", sorted(ids), [self.token] * len(ids), [reason] * len(ids),
            [error] * len(ids), 20,
        )  # fmt: skip
        return sorted(row["id"] for row in rows)

    async def live(self, job_id: int) -> Any:
        rows = await self.sql("select * from pgqueue.job where id = $1", job_id)
        return rows[0] if rows else None

    async def states(self, *ids: int) -> list[str]:
        rows = await self.sql(
            "select id, state from pgqueue.jobs where id = any ($1) order by id", list(ids)
        )
        return [row["state"] for row in rows]


@pytest.fixture
async def client(dsn: str) -> AsyncIterator[Client]:
    client = Client(dsn)
    yield client
    await client.aclose()


@pytest.fixture
async def other(dsn: str) -> AsyncIterator[Session]:
    connection = await asyncpg.connect(dsn)
    yield Session(connection)
    await connection.close()


@pytest.fixture
async def third(dsn: str) -> AsyncIterator[Session]:
    connection = await asyncpg.connect(dsn)
    yield Session(connection)
    await connection.close()


async def add(client: Client, count: int = 1, **options: Any) -> list[int]:
    """Enqueue jobs of task ``t``; return their ids."""
    jobs = [client.job("t", {"n": n}, **options) for n in range(count)]
    return [one.id for one in await client.aenqueue_many(jobs)]


async def add_dead(client: Client, other: Session, count: int = 1, **options: Any) -> list[int]:
    """Make dead letters; return their ids."""
    ids = await add(client, count, **options)
    claimed = await other.claim(options.get("queue", "default"))
    assert set(ids) <= set(claimed)
    return await other.bury(*ids)


async def blocked(watcher: Session) -> None:
    """Wait until some session of this database waits for a lock."""
    while not await watcher.value(
        "select count(*) from pg_stat_activity where datname = current_database()"
        " and wait_event_type = 'Lock'"
    ):
        await watcher.sql("select pg_sleep(0.005)")
