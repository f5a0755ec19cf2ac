"""What befalls a job of a flow, each time as one statement of a worker or of a program."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from tests.db.hands import Hands, connect

__all__ = ["Life", "Settings", "connect_life"]

Settings = Mapping[str, Any]

_GONE = """
with gone as (delete from @.job where id = any ($1::bigint[]) and {which} returning *),
told as (
    insert into @.ticket (flow, key, used, weight)
    select flow, flow_key, {used}, coalesce(weight, 1) from gone where flow is not null
)
"""


class Life(Hands):
    """A connection of a worker, or of a program of the user's."""

    @property
    def pid(self) -> int:
        return self.connection.get_server_pid()

    async def put(self, flow: str, keys: Sequence[str], **options: object) -> list[int]:
        """Enqueue a job for each key; return their ids."""
        docs = [{"task": "t", "flow": flow, "flow_key": key, **options} for key in keys]
        return await self.put_all(docs)

    async def put_all(self, docs: Sequence[Mapping[str, object]]) -> list[int]:
        rows = await self.sql("select id from @.enqueue($1::text::jsonb)", json.dumps(docs))
        return [row["id"] for row in rows]

    async def admit(
        self, flow: str, ready_most: int = 100, floors: Sequence[Any] = (0, 0, "-infinity")
    ) -> Any:
        (row,) = await self.sql(
            "select *, extract(epoch from clock_timestamp()) as now"
            " from @.admit($1, $2, $3, $4, $5::text::timestamptz)",
            flow, ready_most, floors[0], floors[1], str(floors[2]),
        )  # fmt: skip
        return row

    async def take(self, limit: int = 100) -> list[int]:
        """Claim what is ready, in the order of the claim statement."""
        rows = await self.sql(
            "with first as (select ctid from @.job where position is not null and worker_id is null"
            "               order by priority, position limit $1 for update skip locked)"
            " update @.job set worker_id = $2, attempt = attempt + 1 from first"
            " where job.ctid = first.ctid returning id",
            limit, self.id,
        )  # fmt: skip
        return [row["id"] for row in rows]

    async def end(self, ids: Sequence[int], used: float | None = None) -> list[int]:
        """Running jobs are over; each says what it used, if it does."""
        rows = await self.sql(
            _GONE.format(which="worker_id is not null", used="$2::float8")
            + "insert into @.past select * from gone returning id",
            list(ids), used,
        )  # fmt: skip
        return [row["id"] for row in rows]

    async def give_back(self, ids: Sequence[int]) -> None:
        """As they were: also what a rescue does."""
        await self.sql(
            "update @.job set worker_id = null where id = any ($1::bigint[])"
            " and worker_id is not null",
            list(ids),
        )

    async def retry(
        self, ids: Sequence[int], hold: float | None = None, holds_flow: bool = False
    ) -> None:
        """Due again in an hour; ``hold``: seconds of a break."""
        await self.sql(
            "with back as (update @.job set worker_id = null, position = null,"
            "     run_at = clock_timestamp() + interval '1 hour',"
            "     rank = case when exists (select from @.flow where name = job.flow"
            "                              and settings ->> 'ordered' = 'true')"
            "            then rank else -abs(rank) end"
            "   where id = any ($1::bigint[]) and worker_id is not null returning *)"
            " insert into @.ticket (flow, key, rank, held_until, holds_flow)"
            " select flow, flow_key, case when rank > 0 then rank end,"
            "        clock_timestamp() + make_interval(secs => $2::float8), $3"
            " from back where flow is not null",
            list(ids), hold, holds_flow,
        )  # fmt: skip

    async def die(self, ids: Sequence[int]) -> None:
        """Dead; the key of an ordered flow stands still, unless the flow skips them."""
        await self.sql(
            _GONE.format(which="worker_id is not null", used="null::float8")
            + ", halted as (insert into @.flow_key as o (flow, key, paused_at, pause_reason)"
            "     select distinct gone.flow, gone.flow_key, now(), 'dead'"
            "     from gone join @.flow on flow.name = gone.flow"
            "     where settings ->> 'ordered' = 'true' and settings ->> 'on_dead' <> 'skip'"
            "     on conflict (flow, key) do update set paused_at = now())"
            " insert into @.grave select * from gone",
            list(ids),
        )

    async def cancel(self, ids: Sequence[int]) -> None:
        """Those that do not run are over."""
        await self.sql(
            _GONE.format(which="worker_id is null", used="null::float8")
            + "insert into @.past select * from gone",
            list(ids),
        )

    async def promote(self, ids: Sequence[int]) -> None:
        """These are due now."""
        await self.sql(
            "with moved as (update @.job set run_at = 'infinity',"
            "     rank = coalesce(abs(rank), @.next_rank(flow, priority, statement_timestamp()))"
            "   where id = any ($1::bigint[]) and position is null and run_at < 'infinity'"
            "   returning *)"
            " insert into @.ticket (flow, key, rank)"
            " select flow, flow_key, min(rank) from moved group by flow, flow_key",
            list(ids),
        )

    async def redrive(self, ids: Sequence[int]) -> None:
        await self.sql(
            "with raised as (delete from @.grave where id = any ($1::bigint[]) returning *),"
            " back as (insert into @.job (id, queue, task, enqueued_at, max_attempts, priority,"
            "     args, flow, flow_key, weight, run_at, rank)"
            "   select id, queue, task, enqueued_at, max_attempts, priority, args, flow,"
            "     flow_key, weight, 'infinity',"
            "     case when (select settings ->> 'ordered' = 'true' from @.flow where name = flow)"
            "          then abs(rank) else @.next_rank(flow, priority, now()) end"
            "   from raised returning *)"
            " insert into @.ticket (flow, key, rank)"
            " select flow, flow_key, min(rank) from back group by flow, flow_key",
            list(ids),
        )

    async def set_flow(self, flow: str, settings: Settings) -> None:
        """What code says of it, which acts at once."""
        await self.sql(
            "insert into @.flow (name, declared) values ($1, $2::text::jsonb)"
            " on conflict (name) do update set declared = excluded.declared",
            flow, json.dumps(settings),
        )  # fmt: skip
        await self.changed(flow)

    async def changed(self, flow: str) -> int:
        """Something else holds for the flow than before: return how many jobs went back."""
        taken = await self.value("select @.withdraw($1)", flow)
        await self.sql("insert into @.ticket (flow, key) values ($1, '')", flow)
        return taken

    async def set_key(self, flow: str, key: str, **values: object) -> None:
        for name, value in values.items():
            await self.sql(
                f"insert into @.flow_key (flow, key, {name}) values ($1, $2, $3)"
                f" on conflict (flow, key) do update set {name} = excluded.{name}",
                flow, key, value,
            )  # fmt: skip

    async def pause_key(self, flow: str, key: str, *, paused: bool = True) -> None:
        await self.sql(
            "insert into @.flow_key (flow, key, paused_at)"
            " values ($1, $2, case when $3::boolean then now() end)"
            " on conflict (flow, key) do update set paused_at = excluded.paused_at",
            flow, key, paused,
        )  # fmt: skip
        await self.changed(flow)

    async def pause_flow(self, flow: str, *, paused: bool = True) -> None:
        await self.sql(
            "update @.flow set paused_at = case when $2::boolean then now() end where name = $1",
            flow, paused,
        )  # fmt: skip
        await self.changed(flow)

    async def prepare(self) -> None:
        """Make the tables of what is over, and of what is dead."""
        await self.sql("create table @.past (like @.job)")
        await self.sql("create table @.grave (like @.job)")


async def connect_life(dsn: str, *, worker: bool = True) -> Life:
    """A worker's connection, or one of a program of the user's."""
    made = await connect(dsn, worker=worker)
    return Life(made.connection, made.schema)
