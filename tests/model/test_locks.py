"""What takes several transactions, or locks that are no row's, and must not block itself."""

from __future__ import annotations

import asyncio
from typing import Any

import asyncpg
import pytest
from tests.harness.waiting import eventually
from tests.model.arena import IDS, UNITS, Arena
from tests.model.play import LEVELS

from pgqueue import admin

BACK = ("a-cancelled", "b-dead", "h-later", "j-due", "k-aged")


async def waits(arena: Arena, player: int) -> None:
    """Return once this player waits for another one."""
    await eventually(
        lambda: arena.admin.value("select pg_blocking_pids($1) <> '{}'", arena.pids[player]),
        what=f"player {player} waits",
    )


@pytest.mark.parametrize("level", LEVELS, ids=lambda level: level.replace(" ", "-"))
@pytest.mark.parametrize("gate", ["a-cancelled", "e-none", "i-completed"])
def test_an_operators_retry_and_a_bulk_enqueue_do_not_deadlock(
    arena: Arena, gate: str, level: str
) -> None:
    """The enqueue holds the keys below the gate when the retry comes, which takes all it can.

    A retry moves scheduled rows, then dead letters, then cancelled jobs: in the order of their
    keys each time, but not on the whole.
    """

    async def both() -> tuple[list[Any], list[Any]]:
        await arena.reset(old_day=True)
        holder, producer, operator = arena.players[:3]
        jobs = [{"task": "t", "queue": unit, "unique_key": unit} for unit in UNITS]
        await holder.sql("begin")
        await holder.enqueue({"task": "t", "queue": gate, "unique_key": gate})
        await producer.sql(f"begin isolation level {level}")
        enqueue = asyncio.ensure_future(producer.enqueue(*jobs))
        await waits(arena, 1)
        retry = asyncio.ensure_future(
            admin.retry(operator.connection, "pgqueue", sorted(IDS.values()))
        )
        await waits(arena, 2)
        await holder.sql("rollback")
        try:
            rows = await enqueue
        except asyncpg.SerializationError:
            assert level != LEVELS[0]
            await producer.sql("rollback")
            results = await retry
            return await producer.enqueue(*jobs), results
        await producer.sql("commit")
        return rows, await retry

    async def cleared() -> tuple[list[Any], list[Any]]:
        try:
            return await both()
        finally:
            for each in arena.players:
                await each.sql("rollback")

    rows, results = arena.runner.run(cleared())
    assert len(rows) == len(UNITS)
    units = {job_id: unit for unit, job_id in IDS.items()}
    made = {unit for unit, row in zip(UNITS, rows, strict=True) if not row["duplicate"]}
    back = {units[result.id] for result in results if result.changed}
    # Whose key the enqueue had first stays where it is, and the live job is named.
    assert back | (made & set(BACK)) == set(BACK)
    assert not back & made
    assert {units[r.id] for r in results if r.holder is not None} == made & set(BACK)


def test_who_drops_history_second_finds_nothing_to_drop(arena: Arena) -> None:
    """Two at once, as after a duty that took longer than its interval."""

    async def drop_twice() -> int:
        await arena.reset(old_day=True)
        first, second = arena.players[:2]
        await first.sql("begin")
        assert (await first.run("drop_history", 30 * 86400.0, None))[0][0] == 1
        dropped = asyncio.ensure_future(second.run("drop_history", 30 * 86400.0, None))
        await waits(arena, 1)
        await first.sql("commit")
        return int((await dropped)[0][0])

    assert arena.runner.run(drop_twice()) == 0
