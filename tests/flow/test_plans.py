"""What operators ask of flows reads a bounded part of a large line, whatever the statistics say."""

from __future__ import annotations

import json
from typing import Any

import pytest

from pgqueue.db.statements import statement
from tests.flow.conftest import Line

# Statement -> its arguments, with small bounds.
BOUNDED: dict[str, tuple[Any, ...]] = {
    "list_flows": (100, 20),
    "list_flow_keys": ("crm", "k1", True, 10, 20, 100, False),
    "find_still_flows": (100,),
    "read_flow_key": ("crm", "k7", 100),
    "name_flow_keys": ("crm", 20),
    "make_flow": ("crm",),
    "explain_line": (19_000, 20, 100),
}
# The line alone has some 600.
MOST_PAGES = 300


async def pages(line: Line, name: str, args: tuple[Any, ...]) -> int:
    """Run a statement as operators' transactions do; return how many pages it touched."""
    async with line.connection.transaction():
        await line.run("limit_session", "10000", "off")
        text = await line.value(
            f"explain (analyze, buffers, format json) {statement(name, line.schema)}", *args
        )
    plan = json.loads(text)[0]["Plan"]
    return plan["Shared Hit Blocks"] + plan["Shared Read Blocks"]


@pytest.mark.parametrize("keys", [5, 5_000], ids=["few keys", "many keys"])
@pytest.mark.parametrize("state", ["never analysed", "stale", "full"])
async def test_a_look_reads_no_more_than_its_bounds(line: Line, state: str, keys: int) -> None:
    await line.sql("alter table @.job set (autovacuum_enabled = off)")
    await line.sql("alter table @.line set (autovacuum_enabled = off)")
    await line.declare(concurrency=10, rate=1000.0, burst=50, key_rate=5.0, key_burst=9)
    if state == "stale":
        await line.sql("vacuum analyze @.job")
    await line.sql(
        "insert into @.job (task, position, run_at, flow, flow_key, rank)"
        " select 't', null, 'infinity', 'crm', 'k' || n % $1::int, n"
        " from generate_series(1, 20000) n",
        keys,
    )
    await line.sql("select * from @.heal_lines()")
    assert await line.admit() == 10
    if state == "full":
        await line.sql("vacuum analyze @.job")
    for name, args in BOUNDED.items():
        assert await pages(line, name, args) < MOST_PAGES, name
