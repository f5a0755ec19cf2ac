"""An app on a database of its own; hands that do what workers do."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator

import pytest

from pgqueue import App
from tests.db.hands import Hands, connect


class Line(Hands):
    """Puts jobs into flows, admits, claims and ends them, by SQL."""

    async def put(self, *keys: str, flow: str = "crm", **options: object) -> list[int]:
        """Enqueue a job of each of these keys."""
        docs = [{"task": "t", "flow": flow, "flow_key": key, **options} for key in keys]
        return [row["id"] for row in await self.public(docs)]

    async def admit(self, flow: str = "crm", ready_most: int = 100) -> int:
        (row,) = await self.sql(
            "select * from @.admit($1, $2, 0, 0, '-infinity')", flow, ready_most
        )
        return row["admitted"]

    async def declare(self, flow: str = "crm", **settings: object) -> None:
        """What a worker does whose code has this flow."""
        await self.sql(
            "insert into @.flow (name, declared) values ($1, $2::text::jsonb)"
            " on conflict (name) do update set declared = excluded.declared",
            flow, json.dumps(settings),
        )  # fmt: skip

    async def drop(self, *ids: int) -> None:
        """End jobs, as a worker does: with a ticket for their keys."""
        await self.sql(
            "with gone as (delete from @.job where id = any ($1) returning flow, flow_key)"
            " insert into @.ticket (flow, key) select flow, flow_key from gone",
            list(ids),
        )

    async def admitted(self, flow: str = "crm") -> list[int]:
        rows = await self.sql(
            "select id from @.job where flow = $1 and position is not null order by position", flow
        )
        return [row["id"] for row in rows]


@pytest.fixture
async def line(dsn: str) -> AsyncIterator[Line]:
    made = await connect(dsn)
    hands = Line(made.connection)
    await hands.serve("default")
    yield hands
    hands.connection.terminate()


@pytest.fixture
async def app(dsn: str) -> AsyncIterator[App]:
    app = App(dsn)
    yield app
    await app.aclose()
