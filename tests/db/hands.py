"""A worker's statements, done by hand on one connection with a worker's settings."""

from __future__ import annotations

import json
import secrets
from collections.abc import Sequence
from typing import Any

import asyncpg

from pgqueue.db.claim_order import put_in_order
from pgqueue.db.session import session_settings
from pgqueue.db.statements import quote_identifier, statement

__all__ = ["Hands", "connect"]

SCHEMA = "pgqueue"
DEADLINE = 60.0
LOST = json.dumps({"type": "WorkerLost", "message": "lost", "worker": "w", "traceback": ""})


async def connect(
    dsn: str, schema: str = SCHEMA, *, role: str = "claim", worker: bool = True
) -> Hands:
    """A connection as a worker makes it; ``worker=False``: as a program of the user's makes it."""
    settings = session_settings(role, DEADLINE) if worker else {}
    connection = await asyncpg.connect(
        dsn, server_settings={**settings, "application_name": "test hands"}
    )
    return Hands(connection, schema)


class Hands:
    """``id``: of the worker that claims. ``token``: of the last claim."""

    def __init__(self, connection: asyncpg.Connection[Any], schema: str = SCHEMA) -> None:
        self.connection = connection
        self.schema = schema
        self.id = secrets.randbits(62)
        self.token = 0

    async def close(self) -> None:
        await self.connection.close()

    def text(self, sql: str) -> str:
        """Put the schema into the test's own SQL, where it says ``@``."""
        return sql.replace("@", quote_identifier(self.schema))

    async def sql(self, sql: str, *args: Any) -> list[Any]:
        return await self.connection.fetch(self.text(sql), *args)

    async def value(self, sql: str, *args: Any) -> Any:
        return await self.connection.fetchval(self.text(sql), *args)

    async def run(self, name: str, *args: Any) -> list[Any]:
        return await self.connection.fetch(statement(name, self.schema), *args)

    # -- a producer's

    async def enqueue(self, *jobs: dict[str, Any]) -> list[Any]:
        """Enqueue as the Python client does; rows of id, duplicate, state."""
        return await self.run("enqueue_jobs", json.dumps(jobs))

    async def enqueue_unique(self, *jobs: dict[str, Any]) -> list[Any]:
        """Enqueue as the client does where a job has ``unique``; rows have ``replaced`` as well."""
        return await self.run("enqueue_unique", json.dumps(jobs))

    async def public(self, jobs: object) -> list[Any]:
        """Enqueue as psql does."""
        return await self.sql("select * from @.enqueue($1::text::jsonb)", json.dumps(jobs))

    async def fill(
        self, count: int, *, queue: str = "default", task: str = "t", due: str | None = None
    ) -> None:
        """Add many jobs at once; ``due``: an interval from now for scheduled ones."""
        await self.sql(
            "insert into @.job (queue, task, position, run_at)"
            " select $2, $3, case when $4::text is null then nextval('@.position_seq') end,"
            "        now() + coalesce($4::text, '0')::interval"
            " from generate_series(1, $1::integer)",
            count, queue, task, due,
        )  # fmt: skip

    # -- a worker's

    async def serve(self, *queues: str) -> None:
        """Enter the queues, as the registration of a worker does."""
        await self.sql(
            "insert into @.queue (name) select unnest($1::text[]) on conflict do nothing",
            list(queues),
        )

    async def register(self, *queues: str, lease: float = 15.0, worker: int | None = None) -> int:
        worker = self.id if worker is None else worker
        await self.run(
            "register_worker",
            worker,
            lease,
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
        self,
        *queues: str,
        limit: int = 100,
        quota: int | None = None,
        cursors: Sequence[int] | None = None,
        tasks: Sequence[str] = ("t",),
    ) -> list[Any]:
        names = list(queues or ("default",))
        self.token = secrets.randbits(62)
        # Past the lock, which is a matter of speed: what is tested is what holds without it.
        rows = await self.run(
            "claim_jobs", names, [limit if quota is None else quota] * len(names),
            list(cursors or [0] * 10 * len(names)), list(tasks), limit, self.id, self.token, True,
            2**31 - 1,
        )  # fmt: skip
        taken = [row for row in rows if row["id"] is not None]
        put_in_order(taken, names)
        return taken

    def _receipts(self, ids: Sequence[int], token: int | None) -> tuple[list[int], list[int]]:
        return sorted(ids), [self.token if token is None else token] * len(ids)

    async def finish(
        self, *ids: int, token: int | None = None, state: str = "completed"
    ) -> list[int]:
        """Return the ids that were finished."""
        good = (await self.run("finish_jobs", *self._receipts(ids, token), state))[0][0]
        return sorted(ids) if good is None and ids else sorted(good or [])

    async def release(
        self,
        *ids: int,
        token: int | None = None,
        delay: float | None = None,
        change: int = -1,
        error: dict[str, Any] | None = None,
        kept: int = 20,
    ) -> list[int]:
        text = None if error is None else json.dumps(error)
        rows = await self.run(
            "release_jobs", *self._receipts(ids, token), [delay] * len(ids), [change] * len(ids),
            [text] * len(ids), kept,
        )  # fmt: skip
        return sorted(row["id"] for row in rows)

    async def bury(
        self,
        *ids: int,
        token: int | None = None,
        error: dict[str, Any] | None = None,
        kept: int = 20,
    ) -> list[int]:
        text = None if error is None else json.dumps(error)
        rows = await self.run(
            "bury_jobs", *self._receipts(ids, token), ["it failed"] * len(ids), [text] * len(ids),
            kept,
        )  # fmt: skip
        return sorted(row["id"] for row in rows)

    async def rescue(
        self,
        worker: int,
        *,
        cap: int = 3,
        kept: int = 20,
        begun: list[tuple[int, int]] | None = None,
        move: bool = True,
    ) -> dict[int, str]:
        """Return the fate of each job that this worker held."""
        noted = (None, None) if begun is None else ([i for i, _ in begun], [t for _, t in begun])
        async with self.connection.transaction():
            await self.run("read_all_rows")
            rows = await self.run("rescue_jobs", [worker], cap, kept, [LOST], *noted, move, [])
        return {row["id"]: row["fate"] for row in rows}

    # -- looking

    async def live(self, job_id: int) -> dict[str, Any] | None:
        rows = await self.sql("select * from @.job where id = $1", job_id)
        return dict(rows[0]) if rows else None

    async def state(self, job_id: int) -> str | None:
        return await self.value("select state from @.jobs where id = $1", job_id)

    async def count(self, table: str) -> int:
        return await self.value(f"select count(*) from @.{table}")
