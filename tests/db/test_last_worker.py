"""The last worker of a queue takes its flag down; one that came meanwhile learns of it."""

from __future__ import annotations

import asyncio

from tests.db.conftest import Connect
from tests.db.hands import Hands
from tests.db.test_wake import Ear
from tests.harness.waiting import eventually


async def test_a_worker_that_came_while_the_last_one_left_is_told_of_the_flag(
    hands: Hands, more_hands: Connect
) -> None:
    """Its row was not there yet for the statement that removes the other."""
    leaving, coming = await more_hands(), await more_hands()
    await leaving.register("default")
    await leaving.run("raise_flags", ["default"])
    async with hands.connection.transaction():
        await hands.sql("select from @.worker where id = $1 for update", leaving.id)
        removal = asyncio.ensure_future(leaving.run("remove_worker", [leaving.id]))
        pid = leaving.connection.get_server_pid()
        waits = "select cardinality(pg_blocking_pids($1)) > 0"
        await eventually(lambda: coming.value(waits, pid))
        await coming.register("default")
        ear = Ear(coming)
        await ear.listen()
        (flag,) = await coming.run("raise_flags", ["default"])
        assert flag["name"] == "default"
    await removal
    up = await coming.value("select waiting from @.queue where name = 'default'")
    assert up or "d:default" in await ear.heard()


async def test_workers_that_leave_together_take_the_flag_down(
    hands: Hands, more_hands: Connect
) -> None:
    """Each of them saw the row of the other; both had said that they stop."""
    first, second = await more_hands(), await more_hands()
    for one in (first, second):
        await one.register("default")
    await first.run("raise_flags", ["default"])
    await hands.sql("update @.worker set stopping = true")
    async with first.connection.transaction():
        await first.run("remove_worker", [first.id])
        await second.run("remove_worker", [second.id])
    assert not await hands.value("select waiting from @.queue where name = 'default'")
