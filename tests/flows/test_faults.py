"""What an admission must bear: what others do meanwhile, and what stands in its tables."""

from __future__ import annotations

import asyncio

import pytest
from asyncpg import InvalidTextRepresentationError
from tests.flows.life import Life


async def test_who_finds_the_row_of_the_flow_changed_does_not_wait(life: Life, other: Life) -> None:
    await life.set_flow("f", {"rate": 1.0})
    await life.put("f", ["a"])
    async with other.connection.transaction():
        await other.sql("update @.flow set tat = tat")
        await life.sql("set statement_timeout = '10s'")
        assert (await life.admit("f"))["admitted"] == -1
    assert (await life.admit("f"))["admitted"] == 1


async def test_a_locked_job_does_not_stop_the_other_keys(life: Life, other: Life) -> None:
    """One that a transaction of a user's holds, as a cancel does that has not committed."""
    await life.set_flow("f", {"concurrency": 1})
    (locked,) = await life.put("f", ["a"])
    await life.put("f", ["b", "b"])
    async with other.connection.transaction():
        await other.sql("select from @.job where id = $1 for update", locked)
        assert await run_some(life, 2) == ["b", "b"]
    assert await run_some(life, 1) == ["a"]


async def test_a_heavy_job_waits_for_its_tokens_and_not_for_an_event(life: Life) -> None:
    await life.set_flow("f", {"rate": 0.00001, "burst": 9})
    await life.put("f", ["a", "a"], weight=5)
    await life.admit("f")
    answer = await life.admit("f")
    assert (answer["admitted"], answer["more"]) == (0, False)
    assert 90_000 < answer["wait"] <= 100_000


async def run_some(life: Life, count: int) -> list[str]:
    """The keys of so many jobs, as they run: admissions are called when their answers say."""
    ran: list[str] = []
    while len(ran) < count:
        answer = await life.admit("f", 1)
        taken = await life.take()
        ran += [await life.value("select flow_key from @.job where id = $1", job) for job in taken]
        await life.end(taken)
        if not taken and not answer["more"]:
            assert answer["wait"] is not None, "it stands still"
            await asyncio.sleep(answer["wait"])
    return ran


# What stands in the place of the sequence of tickets says whether there was a transaction id.
WATCHED = """
alter sequence pgqueue.ticket_id_seq rename to ticket_number;
create function public.last_ticket() returns bigint language plpgsql as $$
begin
    perform pg_catalog.set_config(
        'test.xid', coalesce(pg_catalog.pg_current_xact_id_if_assigned()::text, 'none'), false
    );
    return (select last_value from pgqueue.ticket_number);
end $$;
create view pgqueue.ticket_id_seq as
    select public.last_ticket() as last_value, is_called from pgqueue.ticket_number
"""


async def test_the_last_ticket_is_read_before_the_lock(life: Life) -> None:
    """What locks the row gets its transaction id: tickets above the number are of later ones."""
    await life.set_flow("f", {"concurrency": 1})
    await life.put("f", ["a"])
    await life.connection.execute(WATCHED)
    answer = await life.admit("f")
    assert answer["admitted"] == 1
    assert answer["following"] > 0
    assert await life.value("select current_setting('test.xid')") == "none"


async def test_a_completion_in_its_own_commit_asks_for_the_receipt(life: Life) -> None:
    await life.set_flow("f", {"concurrency": 1})
    (job,) = await life.put("f", ["a"])
    await life.admit("f")
    for token in (0, 7):  # nobody has claimed it; somebody has, with another token
        with pytest.raises(InvalidTextRepresentationError, match="receipt is not good"):
            await life.run("complete_own_flow_job", job, token, None)
        assert await life.value("select count(*) from @.job") == 1
        await life.take()
    await life.run("complete_own_flow_job", job, 0, None)
    assert await life.value("select count(*) from @.job") == 0
