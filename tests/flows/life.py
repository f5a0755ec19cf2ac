"""What befalls a job of a flow, each time as one statement of a worker or of a program."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from tests.db.hands import Hands, connect

__all__ = ["Life", "Settings", "connect_life"]

Settings = Mapping[str, Any]


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

    async def end(self, ids: Sequence[int], used: float | None = None) -> None:
        """Running jobs are over; each says what it used, if it does."""
        await self.run("finish_flow_jobs", *_receipts(ids), "completed", [used] * len(ids))

    async def give_back(self, ids: Sequence[int]) -> None:
        """As they were."""
        none = [None] * len(ids)
        await self.run(
            "release_flow_jobs", *_receipts(ids), none, [-1] * len(ids), none, 20, none, none, none
        )

    async def retry(
        self, ids: Sequence[int], hold: float | None = None, holds_flow: bool = False
    ) -> None:
        """Due again in an hour; ``hold``: seconds of a break."""
        n, none = len(ids), [None] * len(ids)
        await self.run(
            "release_flow_jobs", *_receipts(ids), [3600.0] * n, [0] * n, none, 20, none,
            [hold] * n, [holds_flow] * n,
        )  # fmt: skip

    async def die(self, ids: Sequence[int]) -> None:
        """Dead; the key of an ordered flow stands still, unless the flow skips them."""
        none = [None] * len(ids)
        await self.run("bury_flow_jobs", *_receipts(ids), ["it failed"] * len(ids), none, 20, none)

    async def cancel(self, ids: Sequence[int]) -> None:
        """Those that do not run are over."""
        await self.run("cancel_jobs", sorted(ids))

    async def promote(self, ids: Sequence[int]) -> None:
        """These are due now."""
        await self.sql(
            "update @.job set run_at = now() where id = any ($1::bigint[])"
            " and position is null and run_at < 'infinity'",
            list(ids),
        )
        await self.run("promote_jobs", 1000, datetime(2000, 1, 1, tzinfo=UTC))

    async def ready(self, ids: Sequence[int]) -> None:
        """An operator lets them run now."""
        await self.run("ready_jobs", sorted(ids))

    async def redrive(self, ids: Sequence[int]) -> None:
        await self.run("redrive_jobs", sorted(ids))

    async def revive(self, ids: Sequence[int]) -> None:
        """Those that were cancelled."""
        await self.run("revive_jobs", sorted(ids))

    async def set_flow(self, flow: str, settings: Settings) -> None:
        """What code says of it, which acts at once."""
        before = await self.value("select settings::text from @.flow where name = $1", flow)
        await self.sql(
            "insert into @.flow (name, declared) values ($1, $2::text::jsonb)"
            " on conflict (name) do update set declared = excluded.declared",
            flow, json.dumps(settings),
        )  # fmt: skip
        await self.changed(flow, before)

    async def changed(self, flow: str, before: str | None = None) -> int:
        """Something else holds for the flow than before: return how many jobs went back."""
        return await self.value("select @.flow_changed($1, $2::text::jsonb)", flow, before)

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

    async def spoil(self, right: str, wrong: str) -> None:
        """Put a defect into admissions."""
        text = await self.value("select pg_get_functiondef('@.admit'::regproc)")
        # An AssertionError would count as a defect that was found.
        if right not in text and wrong not in text:
            raise LookupError(right)
        await self.connection.execute(text.replace(right, wrong))


def _receipts(ids: Sequence[int]) -> tuple[list[int], list[int]]:
    """What `take` claims has no token, which is 0 in a receipt."""
    return sorted(ids), [0] * len(ids)


async def connect_life(dsn: str, *, worker: bool = True) -> Life:
    """A worker's connection, or one of a program of the user's."""
    made = await connect(dsn, worker=worker)
    return Life(made.connection, made.schema)
