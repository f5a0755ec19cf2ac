"""Admission: who of a flow may run, by what its rows say."""

from __future__ import annotations

import json

from tests.db.hands import Hands


async def put(hands: Hands, *keys: str, flow: str = "f", **options: object) -> list[int]:
    docs = [{"task": "t", "flow": flow, "flow_key": key, **options} for key in keys]
    rows = await hands.sql("select id, state from @.enqueue($1::text::jsonb)", json.dumps(docs))
    assert {row["state"] for row in rows} <= {"blocked"}
    return [row["id"] for row in rows]


async def admit(hands: Hands, *, flow: str = "f", ready_most: int = 100) -> int:
    (row,) = await hands.sql("select * from @.admit($1, $2, 0, 0, '-infinity')", flow, ready_most)
    return row["admitted"]


async def test_an_unknown_flow_runs_one_at_a_time(hands: Hands) -> None:
    await put(hands, "a", "b")
    assert await admit(hands) == 1
    assert await admit(hands) == 0
