"""An admission reads few rows, whatever the statistics say and however much waits."""

from __future__ import annotations

import pytest
from tests.flows.life import Life

WAITING = 20_000
STATES = ["never analysed", "vacuumed empty", "full"]


async def read(life: Life) -> int:
    """How many rows of the tables of flows were read so far."""
    await life.sql("select pg_stat_force_next_flush()")
    await life.sql("select 1")
    return await life.value(
        "select sum(idx_tup_fetch + seq_tup_read)::bigint from pg_stat_user_tables"
        " where relname in ('job', 'line', 'ticket', 'flow_key') and schemaname = 'pgqueue'"
    )


async def fill(life: Life, keys: int, state: str) -> None:
    tables = ("@.job", "@.line", "@.ticket", "@.flow_key")
    for table in tables:
        await life.sql(f"alter table {table} set (autovacuum_enabled = off)")
        if state == "vacuumed empty":
            await life.sql(f"vacuum analyze {table}")
    await life.sql(
        "insert into @.job (queue, task, run_at, flow, flow_key, rank)"
        " select 'default', 't', 'infinity', 'f', 'k' || n % $1, n"
        " from generate_series(1, $2) as n",
        keys, WAITING,
    )  # fmt: skip
    await life.sql(
        "insert into @.ticket (flow, key, rank)"
        " select flow, flow_key, min(rank) from @.job group by flow, flow_key"
    )
    await life.sql(
        "insert into @.flow_key (flow, key, weight) select 'f', 'x' || n, 2"
        " from generate_series(1, 5000) as n"
    )
    if state == "full":
        for table in tables:
            await life.sql(f"vacuum analyze {table}")


async def settle(life: Life) -> None:
    """Take all tickets and run what is admitted."""
    while (await life.admit("f", 1))["more"]:
        await life.end(await life.take())
    await life.end(await life.take())


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("keys", [1, 4000])
async def test_an_admission_reads_little_more_than_it_admits(
    life: Life, keys: int, state: str
) -> None:
    await life.set_flow("f", {"key_concurrency": 300 if keys == 1 else 2})
    await fill(life, keys, state)
    await settle(life)
    for room in (0, 1, 10, 200):
        before = await read(life)
        answer = await life.admit("f", room)
        assert answer["admitted"] == room
        assert await read(life) - before <= 20 + 6 * room
        await life.end(await life.take(1000))


async def test_healing_reads_each_ticket_once(life: Life) -> None:
    """Many keys wait for their first admission, behind many tickets."""
    await life.set_flow("f", {"fair": True})
    await fill(life, 4000, "never analysed")
    await life.sql("delete from @.ticket where key like 'k1%'")
    await life.sql(
        "insert into @.ticket (flow, key) select 'f', 'y' || n from generate_series(1, 20000) as n"
    )
    before = await read(life)
    (row,) = await life.sql("select * from @.heal_lines()")
    assert row["keys"] == 1111
    assert await read(life) - before < 60_000
    assert await life.sql("select * from @.heal_lines()") == []
