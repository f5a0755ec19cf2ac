"""What a review found in the statements, each with the order of events that it took."""

from __future__ import annotations

import asyncio
import traceback

import asyncpg
import pytest
from tests.db.conftest import Connect
from tests.db.hands import Hands, connect

from pgqueue import Client
from pgqueue.db.link import Link, Watch
from pgqueue.errors import ConfigError, Unreachable


async def held(hands: Hands, count: int) -> list[int]:
    await hands.enqueue(*[{"task": "t"}] * count)
    return sorted(row["id"] for row in await hands.claim(limit=count))


async def test_a_rescue_passes_what_somebody_has_locked(hands: Hands, more_hands: Connect) -> None:
    """A host that vanished between the completion in a transaction and its commit holds a lock."""
    ids = await held(hands, 3)
    zombie = await more_hands()
    transaction = zombie.connection.transaction()
    await transaction.start()
    await zombie.finish(ids[0], token=hands.token)
    async with asyncio.timeout(60):
        fates = await hands.rescue(hands.id)
    assert fates == {ids[1]: "rescued", ids[2]: "rescued"}
    await transaction.rollback()
    assert [row[0] for row in await hands.run("find_orphans")] == [hands.id]
    assert await hands.rescue(hands.id) == {ids[0]: "rescued"}


async def test_a_rescue_may_read_a_large_table(dsn: str) -> None:
    """Its statements may take a minute; the session's own timeout is for those that probe."""
    hands = await connect(dsn)
    await hands.sql("set statement_timeout = '100ms'")
    async with hands.connection.transaction():
        await hands.run("read_all_rows")
        assert await hands.value("select current_setting('statement_timeout')") == "1min"
    assert await hands.value("select current_setting('statement_timeout')") == "100ms"
    await hands.close()


async def test_error_histories_are_arrays(hands: Hands) -> None:
    """One that is none would refuse every outcome of its job, and the rescue of its worker."""
    (job,) = await held(hands, 1)
    with pytest.raises(asyncpg.CheckViolationError):
        await hands.sql("update @.job set errors = '{}' where id = $1", job)


@pytest.mark.parametrize("timeout", ["NaN", "Infinity"])
async def test_timeouts_are_finite(hands: Hands, timeout: str) -> None:
    with pytest.raises(asyncpg.CheckViolationError):
        await hands.public({"task": "t", "timeout": timeout})


async def test_a_queue_without_a_row_is_served(hands: Hands) -> None:
    await hands.enqueue({"task": "t"})
    await hands.sql("truncate @.queue")
    assert len(await hands.claim()) == 1


async def test_flags_pass_rows_that_somebody_has_locked(hands: Hands, more_hands: Connect) -> None:
    await hands.serve("a", "b")
    operator = await more_hands()
    async with operator.connection.transaction():
        await operator.run("pause_queue", "a")
        async with asyncio.timeout(60):
            assert [row["name"] for row in await hands.run("raise_flags", ["a", "b"])] == ["b"]
            await hands.run("lower_flags", ["a", "b"], None)
    await hands.run("raise_flags", ["b"])
    up = await hands.run("raise_flags", ["a", "b", "no such queue"])
    assert sorted((row["name"], row["raised"]) for row in up) == [("a", True), ("b", False)]


async def test_behind_a_pooler_every_transaction_is_read_committed(dsn: str) -> None:
    """Whatever the role defaults to: a setting within a transaction would come too late."""
    owner = await connect(dsn, worker=False)
    database = await owner.value("select quote_ident(current_database())")
    await owner.sql(f"alter database {database} set default_transaction_isolation = serializable")
    link = Link(dsn, role="claim", watch=Watch(), deadline=5.0, pooled=True)
    show = "select current_setting('transaction_isolation')"
    try:
        assert (await link.fetch(show))[0][0] == "read committed"
        assert (await link.transact(lambda c: c.fetch(show)))[0][0] == "read committed"
    finally:
        await link.close()
        await owner.close()


@pytest.mark.parametrize(
    "account", ["me:s3cr:et/x", "me:s3cret#x", "me:s3cret?x", "me:[s3cret", "me:%zzs3cret x"]
)
async def test_no_part_of_a_password_is_quoted(account: str) -> None:
    """Nor in what the error came from, which a traceback shows."""
    with pytest.raises((ConfigError, Unreachable)) as caught:
        await Client(f"postgresql://{account}@127.0.0.1:1/db").aenqueue("t")
    assert "s3cr" not in "".join(traceback.format_exception(caught.value)).rpartition("aenqueue")[2]
