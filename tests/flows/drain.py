"""The end of a world: faults are over, and everything is to run."""

from __future__ import annotations

import asyncio
import time

from tests.flows.caller import Caller
from tests.flows.life import connect_life
from tests.flows.steps import DUE_LATER, KEYS, pause_queue, settle, settle_admission
from tests.flows.world import World

__all__ = ["drain"]

LEFT = "select count(*) from @.job"
FRUITLESS = 50


async def drain(world: World) -> None:
    """Run all that is left with one worker, which admits when an answer or a ticket says so."""
    await resume(world)
    caller = Caller(await connect_life(world.dsn))
    world.callers.append(caller)
    for flow in world.names:  # as at the start of a worker
        caller.again[flow] = 0.0
    fruitless = 0
    while await world.look.value(LEFT):
        did = await work(world, caller)
        called = await admit_what_is_due(world, caller)
        fruitless = 0 if did or called > 0 else fruitless + 1
        world.fail(["it spins"], fruitless > FRUITLESS)
        if did or called >= 0:
            continue
        world.fail([f"it stands still, {await left(world)}"], not caller.again)
        await asyncio.sleep(max(0.0, min(caller.again.values()) - time.monotonic()))
        fruitless = 0
    for flow in world.names:
        await world.admission(caller, flow, 1)
    await over(world)


async def resume(world: World) -> None:
    while world.held:
        await settle(world)
    while world.busy:
        await settle_admission(world)
    look = world.look
    await pause_queue(world, paused=False)
    await look.promote(
        [row["id"] for row in await look.sql(f"select id from @.job where {DUE_LATER}")]
    )
    await look.sql("update @.flow_key set concurrency = null")
    for name in world.names:
        if name in world.flows:
            await look.set_flow(name, world.flows[name])
        await look.pause_flow(name, paused=False)
        for key in KEYS:
            await look.pause_key(name, key, paused=False)
    await world.checked(admits=True)


async def work(world: World, caller: Caller) -> bool:
    """Claim and end some; return whether there was anything."""
    taken = await caller.life.take(world.draw.choice((1, 5, 20)))
    running = await world.pick("worker_id is not null", 10)
    await caller.life.end(running)
    world.tell("work", taken, running)
    await world.checked(admits=False)
    return bool(taken or running)


async def admit_what_is_due(world: World, caller: Caller) -> int:
    """Return how many were admitted, -1 if nothing was called."""
    rows = await world.look.sql("select distinct flow from @.ticket")
    now = time.monotonic()
    due = {row["flow"] for row in rows} | {flow for flow, at in caller.again.items() if at <= now}
    admitted = 0
    for flow in sorted(due):
        answer = await world.admission(caller, flow, world.draw.choice((2, 10)))
        admitted += answer["admitted"]
        await world.checked(admits=True)
    return admitted if due else -1


async def left(world: World) -> list[dict[str, object]]:
    rows = await world.look.sql(
        "select flow, flow_key, run_at, rank, position from @.job order by 1, 2, 4 limit 5"
    )
    lines = await world.look.sql("select * from @.line order by flow, key limit 5")
    return [dict(row) for row in [*rows, *lines]]


async def over(world: World) -> None:
    """Each job is over once; no line is left, but for those that still owe tokens."""
    rows = await world.look.sql("select id from @.history union all select id from @.dead")
    over = sorted(row["id"] for row in rows)
    assert over == sorted(world.ids)
    assert await world.look.value("select count(*) from @.line where tat <= served_at") == 0
    assert await world.look.value("select count(*) from @.ticket") == 0
